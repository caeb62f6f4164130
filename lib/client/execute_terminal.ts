/**
 * `holdfast exec -t`: one command on a terminal of its own, joined to ours. Ours is raw meanwhile, so that every
 * key, ^C included, is the command's.
 */
import type { TerminalSize } from "../core/host.ts";
import { HoldfastError } from "../core/errors.ts";
import { drain, type ExecRequest, feed } from "./execute.ts";
import { rawTerminal } from "./raw_terminal.ts";
import { deadline, type RemoteProcess, startProcess, statusOf } from "./remote_process.ts";
import { connectDaemon } from "./session.ts";

/** Of a terminal that nobody looks at (`-tt`). */
const DEFAULT_SIZE: TerminalSize = { columns: 80, rows: 24 };

const FORWARDED = ["INT", "TERM", "QUIT", "USR1", "USR2"] as const;

/** Whether a terminal is to be given for this many `-t`; says so where it is not, as ssh does. */
export function wantsTerminal(count: number, { input }: { input: boolean }): boolean {
  if (count > 1 || (input && Deno.stdin.isTerminal())) return true;
  console.error("holdfast: no terminal is given to the command because stdin is not a terminal");
  return false;
}

/** Runs it and resolves with the status to exit with; the local terminal is then as it was. */
export async function executeTerminal(request: ExecRequest): Promise<number> {
  const limit = deadline(request.target, request.timeout);
  const { signal } = limit;
  let received: string | null = null;
  let process: RemoteProcess | null = null;
  const end = (name: string) => {
    received = name;
    limit.abort(new HoldfastError("cancelled", `ended by SIG${name}`));
  };
  for (const name of FORWARDED) {
    Deno.addSignalListener(`SIG${name}`, () => process ? process.kill(name) : end(name));
  }
  // Our terminal is gone: nobody could end the command any more.
  Deno.addSignalListener("SIGHUP", () => end("HUP"));
  const session = await connectDaemon();
  try {
    const context = await session.open({
      target: request.target,
      ssh: request.ssh,
      purpose: "terminal",
      signal,
    });
    const { command, cwd, env, input, leave } = request;
    const terminal = { ...localSize(), term: Deno.env.get("TERM") || "dumb" };
    using _raw = input && Deno.stdin.isTerminal() ? rawTerminal() : undefined;
    const started = startProcess(session.router, context, {
      command,
      cwd,
      env,
      input,
      leave,
      terminal,
      signal,
    });
    process = started;
    Deno.addSignalListener("SIGWINCH", () => started.resize(localSize()));
    if (started.stdin) void feed(started.stdin);
    const [status] = await Promise.all([
      started.exit,
      drain(started.stdout, Deno.stdout),
      drain(started.stderr, Deno.stderr),
    ]);
    return statusOf(status);
  } catch (error) {
    if (received !== null) return statusOf({ code: null, signal: received });
    throw signal.aborted ? signal.reason : error;
  } finally {
    await session.close();
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
