/** Carries out one command for `holdfast exec`: pumps the standard streams and forwards signals. */
import { HoldfastError } from "../core/errors.ts";
import type { ByteSource } from "../core/host.ts";
import type { SendStream } from "../core/stream.ts";
import { makeBlocking } from "./make_blocking.ts";
import { deadline, type RemoteProcess, startProcess, statusOf } from "./remote_process.ts";
import { openSession, type Session, type SshOptions } from "./session.ts";

export interface ExecRequest {
  target: string;
  command: string | string[];
  env: Record<string, string>;
  cwd?: string;
  /** False: the command gets no standard input. */
  input: boolean;
  leave: boolean;
  /** Milliseconds for everything, connecting included. */
  timeout?: number;
  ssh: SshOptions;
}

const FORWARDED = ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"] as const;
/** As many interrupts end the client itself when the command does not end by them. */
const PATIENCE = 3;

/** Runs it and resolves with the status to exit with. */
export async function execute(request: ExecRequest): Promise<number> {
  const limit = deadline(request.target, request.timeout);
  const { signal } = limit;
  const { target, ssh, command, cwd, env, input, leave } = request;
  let signals: SignalForwarder | null = null;
  let session: Session | null = null;
  try {
    const opened = await openSession({ target, ssh, purpose: "command", signal });
    session = opened.session;
    const options = { command, cwd, env, input, leave, signal };
    const process = startProcess(session.router, opened.context, options);
    await Promise.resolve(); // The command is on its way first.
    // Until now a signal ended this process, which was all there was to end.
    signals = new SignalForwarder(limit);
    signals.attach(process);
    makeBlocking();
    if (process.stdin) void feed(process.stdin);
    const [status] = await Promise.all([
      process.exit,
      drain(process.stdout, Deno.stdout),
      drain(process.stderr, Deno.stderr),
    ]);
    return statusOf(status);
  } catch (error) {
    if (signals?.received) return statusOf({ code: null, signal: signals.received });
    throw signal.aborted ? signal.reason : error;
  } finally {
    await session?.close();
  }
}

/** Copies a stream to one of ours. Rejects with `Deno.errors.BrokenPipe` when our reader is gone, else with `io`. */
export async function drain(
  source: ByteSource,
  output: { write(bytes: Uint8Array): Promise<number> },
): Promise<void> {
  for (let bytes = await source.read(); bytes !== null; bytes = await source.read()) {
    try {
      for (let at = 0; at < bytes.length;) at += await output.write(bytes.subarray(at));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) throw error;
      const { osError }: typeof import("../core/os_error.ts") = await import(
        "../core/os_error.ts" as string
      );
      throw osError("write what the command says", error);
    }
  }
}

/** Sends our standard input to its end, or until the command takes no more. */
export async function feed(stdin: SendStream): Promise<void> {
  try {
    const buffer = new Uint8Array(64 * 1024);
    for (;;) {
      const count = await Deno.stdin.read(buffer);
      if (count === null) break;
      await stdin.write(buffer.subarray(0, count));
    }
    await stdin.close();
  } catch (error) {
    if (!(error instanceof HoldfastError)) stdin.abort(new HoldfastError("io", String(error)));
  }
}

/** Passes our signals on to the command; before there is one, they end the wait for it. */
export class SignalForwarder {
  /** The signal that ended the wait. */
  received: string | null = null;
  #process: RemoteProcess | null = null;
  #interrupts = 0;

  constructor(limit: AbortController) {
    for (const name of FORWARDED) {
      Deno.addSignalListener(`SIG${name}`, () => {
        if (name === "INT") this.#interrupts++;
        if (name === "USR1") void shutDebugger();
        if (this.#process && this.#interrupts < PATIENCE) return this.#process.kill(name);
        this.received = name;
        limit.abort(new HoldfastError("cancelled", `ended by SIG${name}`));
      });
    }
  }

  attach(process: RemoteProcess): void {
    this.#process = process;
  }
}

async function shutDebugger(): Promise<void> {
  const { closeInspector }: typeof import("../rendezvous/close_inspector.ts") = await import(
    "../rendezvous/close_inspector.ts" as string
  );
  await closeInspector();
}
