/**
 * Answers the daemon's questions (passwords, passphrases, host keys) by `--password-command`, on the terminal of this
 * client, or through `SSH_ASKPASS` as ssh does. Loaded only when something is asked.
 */
import { restoreEnvironment } from "../rendezvous/build_info.ts";
import type { JsonObject } from "../core/json.ts";
import { printable } from "../core/printable.ts";

/** ssh's own limit is 1023 bytes. */
const LONGEST_ANSWER = 4096;

/** Characters; what is typed beyond is ignored. */
const LONGEST_LINE = 1024;

const KEYS: Record<string, "submit" | "erase" | "clear" | "end" | "interrupt" | "quit"> = {
  "\r": "submit",
  "\n": "submit",
  "\b": "erase",
  "\x7f": "erase",
  "\x15": "clear",
  "\x04": "end",
  "\x03": "interrupt",
  "\x1c": "quit",
};

/** Signals that would end the process with the terminal still raw. */
const DEADLY = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/** Kinds of questions that `--password-command` answers. */
const PASSWORDS = new Set(["password", "keyboard_interactive"]);

let last: Promise<unknown> = Promise.resolve();

/**
 * Puts a `Question` of `master/ask.ts` to the user; one at a time, in the order they came. Resolves with null
 * when it was declined, withdrawn by `signal`, or when there is neither a terminal nor a program to ask with.
 */
export function answerQuestion(
  question: JsonObject,
  options: { signal: AbortSignal },
): Promise<string | null> {
  const answer = last.then(() => options.signal.aborted ? null : ask(question, options));
  last = answer.catch(() => {});
  return answer;
}

async function ask(
  { prompt, echo, kind, host, hint }: JsonObject,
  { signal }: { signal: AbortSignal },
): Promise<string | null> {
  const text = printable(String(prompt), { multiline: true });
  const command = Deno.env.get("HOLDFAST_PASSWORD_COMMAND");
  if (command && PASSWORDS.has(String(kind)) && echo !== true) {
    return await runPasswordCommand(command, { text, place: String(host), signal });
  }
  const program = askProgram();
  const words = [program.path, text];
  const env: Record<string, string> = hint ? { SSH_ASKPASS_PROMPT: String(hint) } : {};
  const how = { name: "SSH_ASKPASS", env, signal };
  if (program.when === "always") return await runProgram(words, how);
  using terminal = openTerminal();
  if (terminal) return await askOnTerminal(terminal, { text, echo: echo === true, signal });
  if (program.when === "never") return null;
  return await runProgram(words, how);
}

/** Places that the command has answered for: one that was not right is not tried again. */
const answered = new Set<string>();

async function runPasswordCommand(
  command: string,
  { text, place, signal }: { text: string; place: string; signal: AbortSignal },
): Promise<string | null> {
  if (answered.has(place)) return null;
  answered.add(place);
  const words = ["/bin/sh", "-c", command];
  const env = { HOLDFAST_QUESTION: text, HOLDFAST_TARGET: place };
  return await runProgram(words, { name: "--password-command", env, signal });
}

/**
 * The rules of ssh(1): SSH_ASKPASS_REQUIRE decides where it is set; otherwise the program stands in for a missing
 * terminal where there is a display.
 */
function askProgram(): { path: string; when: "always" | "fallback" | "never" } {
  const env = (name: string) => Deno.env.get(name);
  const path = env("SSH_ASKPASS") || "ssh-askpass";
  const display = env("DISPLAY") !== undefined || env("WAYLAND_DISPLAY") !== undefined;
  switch (env("SSH_ASKPASS_REQUIRE")?.toLowerCase()) {
    case "force":
      return { path, when: "always" };
    case "prefer":
      return { path, when: display ? "always" : "never" };
    case "never":
      return { path, when: "never" };
    default:
      return { path, when: display ? "fallback" : "never" };
  }
}

function openTerminal(): Deno.FsFile | null {
  try {
    return Deno.openSync("/dev/tty", { read: true, write: true });
  } catch {
    return null;
  }
}

/** The first line of what it prints; null when it fails or cannot be run. */
async function runProgram(
  [path, ...args]: string[],
  { name, env, signal }: { name: string; env?: Record<string, string>; signal: AbortSignal },
): Promise<string | null> {
  restoreEnvironment();
  try {
    const { success, stdout } = await new Deno.Command(path, {
      args,
      env,
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
      signal,
    }).output();
    if (!success || stdout.length > LONGEST_ANSWER) return null;
    return new TextDecoder().decode(stdout).split(/[\r\n]/, 1)[0];
  } catch (error) {
    if (!signal.aborted) {
      const reason = error instanceof Error ? error.message : String(error);
      console.error(printable(`holdfast: Cannot run ${name} ${JSON.stringify(path)}: ${reason}`));
    }
    return null;
  }
}

/**
 * Shows `text` and reads a line, with backspace and ^U. Resolves with null at ^D on an empty line or when `signal`
 * withdraws the question. ^C and ^\ do to this process what they do outside raw mode.
 */
async function askOnTerminal(
  terminal: Deno.FsFile,
  { text, echo, signal }: { text: string; echo: boolean; signal: AbortSignal },
): Promise<string | null> {
  const show = (shown: string) => void terminal.writeSync(new TextEncoder().encode(shown));
  const withdrawn = Promise.withResolvers<null>();
  const onAbort = () => withdrawn.resolve(null);
  signal.addEventListener("abort", onAbort);
  let ending: "SIGINT" | "SIGQUIT" | null = null;
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(256);
  let line = "";
  try {
    using _raw = rawMode(terminal);
    show(text.replaceAll("\n", "\r\n"));
    for (;;) {
      const size = await Promise.race([terminal.read(buffer), withdrawn.promise]);
      if (size === null) return null;
      for (const character of decoder.decode(buffer.subarray(0, size), { stream: true })) {
        switch (Object.hasOwn(KEYS, character) ? KEYS[character] : "type") {
          case "submit":
            return line;
          case "interrupt":
            ending = "SIGINT";
            return null;
          case "quit":
            ending = "SIGQUIT";
            return null;
          case "end":
            if (line === "") return null;
            break;
          case "erase":
            if (echo && line !== "") show("\b \b");
            line = [...line].slice(0, -1).join("");
            break;
          case "clear":
            if (echo) show("\b \b".repeat([...line].length));
            line = "";
            break;
          case "type":
            if (character < " " || line.length >= LONGEST_LINE) break;
            line += character;
            if (echo) show(character);
        }
      }
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    show("\n");
    if (ending) Deno.kill(Deno.pid, ending);
  }
}

/**
 * Makes `terminal` raw until disposal. It is given back in every case: also when the process exits, and when a signal
 * that nobody else handles ends it. Used by `exec -t` too.
 */
export function rawMode(terminal: { setRaw(raw: boolean): void }): Disposable {
  let raw = true;
  const restore = () => {
    if (!raw) return;
    raw = false;
    removeEventListener("unload", restore);
    for (const [signal, listener] of listeners) Deno.removeSignalListener(signal, listener);
    try {
      terminal.setRaw(false);
    } catch {
      // The terminal is gone.
    }
  };
  const listeners = DEADLY.map((signal) => {
    const listener = () => {
      restore();
      // Again, for whoever else listens; if nobody does, this ends us as it should.
      Deno.kill(Deno.pid, signal);
    };
    return [signal, listener] as const;
  });
  terminal.setRaw(true);
  addEventListener("unload", restore);
  for (const [signal, listener] of listeners) Deno.addSignalListener(signal, listener);
  return { [Symbol.dispose]: restore };
}
