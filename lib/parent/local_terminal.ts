/**
 * Terminals for processes of a context, which no runtime can make by itself: util-linux's `script` does. Used for this
 * machine's own host, and shipped to contexts behind hops.
 */
import { nodeProcess } from "../core/node_process.ts";
import { quoteWord } from "../core/quote.ts";
import type { StartServices } from "../core/context.ts";
import { HoldfastError } from "../core/errors.ts";
import type { ByteSource, Child, ProcessHost, SpawnOptions } from "../core/host.ts";

/** Bytes that are read for the announcement of the terminal before it is given up. */
const LONGEST_ANNOUNCEMENT = 4096;

/** From now on the context's processes can have a terminal. */
export const start: StartServices = (context) => {
  context.host = withTerminals(context.host);
  return { services: {} };
};

/** Signals the process group of a terminal's command; no error if it is gone. */
type SignalGroup = (group: number, signal: string) => void;

/** `host`, able to give its processes a terminal. `signalGroup` for processes that are not this machine's. */
export function withTerminals<H extends ProcessHost>(
  host: H,
  signalGroup: SignalGroup = signalHere,
): H {
  return {
    ...host,
    spawn: (options) =>
      options.terminal ? spawnOnTerminal(host, options, signalGroup) : host.spawn(options),
  };
}

function signalHere(group: number, signal: string): void {
  try {
    nodeProcess().kill(-group, signal);
  } catch {
    // The group has ended.
  }
}

async function spawnOnTerminal(
  host: ProcessHost,
  options: SpawnOptions,
  signalGroup: SignalGroup,
): Promise<Child> {
  const { columns, rows, term } = options.terminal!;
  const shell = host.shell!;
  const words = typeof options.command === "string"
    ? [shell, "-c", options.command]
    : options.command;
  // Its terminal and process group come over the pipe that is stderr here: inside, that is the terminal.
  const line = `echo "$(tty) $$" >&3; exec 3>&-; stty sane rows ${Number(rows)} cols ${
    Number(columns)
  }; export SHELL; SHELL=${quoteWord(shell)}; exec ${words.map(quoteWord).join(" ")}`;
  const child = await host.spawn({
    command: ["/bin/sh", "-c", 'exec 3>&2; exec script -qefc "$0" /dev/null', line],
    cwd: options.cwd,
    // `script` starts the line with $SHELL.
    env: { ...options.env, TERM: term, SHELL: "/bin/sh" },
  });
  const said = await firstLine(child.stderr);
  const [, terminal, group] = /^(\/dev\/\S+) (\d+)$/.exec(said) ?? [];
  if (terminal === undefined) {
    child.kill("SIGKILL");
    throw new HoldfastError(
      "io",
      "Cannot give the command a terminal: the program script (util-linux) is missing or did not start",
    );
  }
  return {
    ...child,
    kill: (signal) => signalGroup(Number(group), signal),
    resize: (size) => void resize(host, terminal, size).catch(() => {}),
  };
}

async function resize(
  host: ProcessHost,
  terminal: string,
  { columns, rows }: { columns: number; rows: number },
): Promise<void> {
  const child = await host.spawn({
    command: ["stty", "-F", terminal, "rows", String(rows), "cols", String(columns)],
  });
  child.stdout.cancel();
  child.stderr.cancel();
  await child.stdin.close();
  await child.exit;
}

async function firstLine(source: ByteSource): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes("\n") && text.length < LONGEST_ANNOUNCEMENT) {
    const bytes = await source.read();
    if (bytes === null) break;
    text += decoder.decode(bytes, { stream: true });
  }
  return text.split("\n", 1)[0];
}
