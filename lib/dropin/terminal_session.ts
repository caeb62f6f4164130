/**
 * A session of the drop-in on a terminal, joined to ours, which is raw meanwhile: size changes, escape characters,
 * suspending. Loaded for that only.
 */
import { drain } from "../client/execute.ts";
import { rawTerminal } from "../client/raw_terminal.ts";
import { type RemoteProcess, startProcess } from "../client/remote_process.ts";
import type { TerminalSize } from "../core/host.ts";
import type { SendStream } from "../core/stream.ts";
import { EscapeFilter } from "./escape_filter.ts";
import { processOptions, statusOf } from "./process_options.ts";
import { endBySignals, type OpenWork } from "./session_work.ts";

/** Of a terminal that nobody looks at (`-tt`). */
const DEFAULT_SIZE: TerminalSize = { columns: 80, rows: 24 };

const DISCONNECTED = 255;

const HELP = (escape: string) =>
  [
    "Supported escape sequences:",
    ` ${escape}.   - end the session`,
    ` ${escape}^Z  - suspend`,
    ` ${escape}?   - this message`,
    ` ${escape}${escape}   - send the escape character by typing it twice`,
    "(Escapes are only recognized at the beginning of a line.)",
    "",
  ].join("\r\n");

/** Resolves with the status to exit with; our terminal is then as it was. */
export async function runOnTerminal(open: OpenWork): Promise<number> {
  const { plan, session, context, log, request } = open;
  const terminal = { ...localSize(), term: Deno.env.get("TERM") || "dumb" };
  const isOurs = plan.input && Deno.stdin.isTerminal();
  let raw = isOurs ? rawTerminal() : null;
  try {
    const process = startProcess(session.router, context, { ...processOptions(plan), terminal });
    endBySignals(log);
    Deno.addSignalListener("SIGWINCH", () => process.resize(localSize()));
    const disconnected = Promise.withResolvers<null>();
    if (process.stdin) {
      void typed(process.stdin, {
        escape: plan.escape,
        disconnect: () => disconnected.resolve(null),
        suspend() {
          raw?.[Symbol.dispose]();
          Deno.kill(Deno.pid, "SIGTSTP");
          if (isOurs) raw = rawTerminal();
          process.resize(localSize());
        },
      });
    }
    const status = await Promise.race([finish(process), disconnected.promise]);
    raw?.[Symbol.dispose]();
    log.write("INFO", `Connection to ${request.destination} closed.`);
    return status ?? DISCONNECTED;
  } finally {
    raw?.[Symbol.dispose]();
  }
}

async function finish(process: RemoteProcess): Promise<number> {
  const [status] = await Promise.all([
    process.exit,
    drain(process.stdout, Deno.stdout),
    drain(process.stderr, Deno.stderr),
  ]);
  return statusOf(status);
}

/** Sends what is typed, and does what the escapes in it say. */
async function typed(
  stdin: SendStream,
  { escape, disconnect, suspend }: {
    escape: string | null;
    disconnect(): void;
    suspend(): void;
  },
): Promise<void> {
  const filter = escape === null ? null : new EscapeFilter(escape);
  const show = (text: string) => void Deno.stderr.writeSync(new TextEncoder().encode(text));
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (;;) {
      const count = await Deno.stdin.read(buffer);
      if (count === null) break;
      const bytes = buffer.subarray(0, count);
      for (const part of filter?.read(bytes) ?? [bytes]) {
        if (part instanceof Uint8Array) await stdin.write(part);
        else if (part === "disconnect") return disconnect();
        else if (part === "suspend") suspend();
        else show(part === "help" ? `${escape}?\r\n${HELP(escape!)}` : "(not supported)\r\n");
      }
    }
    await stdin.close();
  } catch {
    // The session takes no more; its end is reported where its status is.
  }
}

function localSize(): TerminalSize {
  try {
    const { columns, rows } = Deno.consoleSize();
    return columns > 0 && rows > 0 ? { columns, rows } : DEFAULT_SIZE;
  } catch {
    return DEFAULT_SIZE;
  }
}
