/**
 * `holdfast ssh`, and this executable under the name of ssh: takes ssh's own command line and carries it out over the
 * connections that the daemon holds. A client path like `exec`: what is rarely used is loaded when it is needed.
 */
import { HoldfastError } from "../core/errors.ts";
import { BeyondUs } from "./beyond_us.ts";
import { parseSshCommandLine } from "./ssh_command_line.ts";
import { SshLog } from "./ssh_log.ts";
import type { SshRequest } from "./ssh_request.ts";
import { runSession } from "./ssh_session.ts";
import { WrongWords } from "./wrong_words.ts";

/** What ssh ends with when it is not the command's own status. */
const FAILED = 255;

export const usage = "holdfast ssh [ssh's own options] DEST [COMMAND...]";

/** ssh's own; `holdfast ssh` without words prints them. */
export const options = {};

/** For completions; their values are named as ours are. */
export async function ownOptions() {
  const { SSH_LETTERS }: typeof import("./ssh_letters.ts") = await import(
    "./ssh_letters.ts" as string
  );
  return Object.entries(SSH_LETTERS).map(([short, { value }]) => {
    const isHost = value === SSH_LETTERS.J.value;
    const isFile = /_(file|path)$/.test(value ?? "");
    return { short, value: isHost ? "HOST" : isFile ? "FILE" : value?.toUpperCase(), help: "" };
  });
}

export async function run(words: string[]): Promise<number> {
  const line = parseSshCommandLine(words);
  const log = new SshLog();
  try {
    if (line.kind === "wrong") throw new WrongWords(line.message, line);
    if (line.kind !== "request" || line.printsConfig) {
      const { answer }: typeof import("./ssh_answers.ts") = await import(
        "./ssh_answers.ts" as string
      );
      return await answer(line, words);
    }
    if (line.logLevel) log.level = line.logLevel;
    if (line.logFile !== undefined) await log.open(line.logFile);
    return await carryOut(line, { log, words });
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return FAILED;
    if (error instanceof WrongWords) {
      if (error.message !== "") log.write("FATAL", error.message);
      if (error.usage) console.error(await usageText());
      return FAILED;
    }
    const known = error instanceof HoldfastError && error.kind !== "internal";
    const prefix = known ? "holdfast: " : "holdfast: internal error: ";
    const message = error instanceof Error ? error.message || error.name : String(error);
    const [first, ...advice] = message.split("\n");
    log.write("FATAL", prefix + first);
    for (const text of advice) log.write("VERBOSE", text);
    return FAILED;
  }
}

async function carryOut(
  request: SshRequest,
  { log, words }: { log: SshLog; words: string[] },
): Promise<number> {
  try {
    const why = beyondUs(request);
    if (why !== undefined) throw new BeyondUs(why);
    if (request.control === undefined) return await runSession(request, { log, words });
    const { runControl }: typeof import("./control.ts") = await import("./control.ts" as string);
    return await runControl(request, { log, words });
  } catch (error) {
    if (!(error instanceof BeyondUs)) throw error;
    const { why } = error;
    const { handOver }: typeof import("./system_ssh.ts") = await import(
      "./system_ssh.ts" as string
    );
    if (!request.isStack) return await handOver(words, { why });
    throw new HoldfastError(
      "refused",
      `Cannot carry out ${why} for ${request.destination}: only the system's ssh can, and it knows no stacks`,
    );
  }
}

/** What of the request only the system's ssh can do. */
function beyondUs({ beyond, x11 }: SshRequest): string | undefined {
  if (beyond) return beyond;
  return x11 && Deno.env.get("DISPLAY") ? "-X" : undefined;
}

async function usageText(): Promise<string> {
  const { sshUsage }: typeof import("./ssh_usage.ts") = await import("./ssh_usage.ts" as string);
  return sshUsage();
}
