/** Runs processes for other contexts: their streams, their signals, and their end when the caller goes. */
import { HoldfastError, toHoldfastError } from "./errors.ts";
import type { ByteSource, Child, ExitStatus, ProcessHost, SpawnOptions } from "./host.ts";
import type { StartServices } from "./context.ts";
import type { Json, JsonObject } from "./json.ts";
import type { Call, Service } from "./service.ts";
import { pump, ReceiveStream, SendStream } from "./stream.ts";

/** What a process group gets when nobody wants it any more, and milliseconds to end before what follows. */
const ENDING = [["SIGHUP", 1000], ["SIGTERM", 2000], ["SIGKILL", 1000]] as const;

/**
 * Milliseconds that the end of an output waits for the exit status, which mostly comes with it: all that a command
 * has to say at its end then travels in one batch.
 */
const END_GRACE = 5;

/**
 * Arguments of `process.exec`. Streams are handles that the caller opened. The reply is an
 * {@linkcode ExitStatus}, sent when the process has ended and all its output has been sent.
 */
export interface ExecArguments extends SpawnOptions {
  /** Null: standard input is empty. */
  stdin: number | null;
  stdout: number;
  stderr: number;
  /** Leave the process alone when the caller goes away; what it still writes is dropped. */
  leave?: boolean;
}

/** A process and what decides its end. */
interface Running {
  child: Child;
  leave: boolean;
  /** Resolves when the process has ended and its output is closed. */
  done: Promise<unknown>;
}

export const start: StartServices = (context) => {
  const processes = new ProcessService(context);
  return { services: { process: processes.service }, close: () => processes.close() };
};

export class ProcessService {
  readonly #at: { readonly host: ProcessHost };
  readonly #running: Map<string, Running> = new Map();

  /** `at.host` is looked up anew for each process. */
  constructor(at: { readonly host: ProcessHost }) {
    this.#at = at;
  }

  /** The methods `exec`, `signal` and `resize`; the latter two name a process by its stdout handle. */
  get service(): Service {
    return {
      exec: {
        policy: "parents",
        handle: (args, call) =>
          this.#exec(args as unknown as ExecArguments, call) as Promise<unknown> as Promise<Json>,
      },
      signal: {
        policy: "parents",
        handle: ({ id, signal }, { src }) => {
          this.#running.get(`${src},${id}`)?.child.kill(`SIG${signal}`);
        },
      },
      resize: {
        policy: "parents",
        handle: ({ id, columns, rows }: JsonObject, { src }) => {
          const size = { columns: Number(columns), rows: Number(rows) };
          this.#running.get(`${src},${id}`)?.child.resize(size);
        },
      },
    };
  }

  /** Ends every process that may not outlive its caller; resolves when they are gone. */
  async close(): Promise<void> {
    const running = [...this.#running.values()];
    await Promise.all(running.map((one) => one.leave ? one.done : terminate(one)));
  }

  async #exec(args: ExecArguments, call: Call): Promise<ExitStatus> {
    // The streams first, without waiting: their frames may be right behind the call.
    const at = (id: number) => ({ peer: call.src, id });
    const stdout = SendStream.accept(call.router, at(args.stdout));
    let stderr: SendStream | undefined;
    let stdin: ReceiveStream | null = null;
    let child: Child;
    try {
      stderr = SendStream.accept(call.router, at(args.stderr));
      if (args.stdin !== null) stdin = ReceiveStream.accept(call.router, at(args.stdin));
      child = await this.#spawn(args);
    } catch (error) {
      const reason = toHoldfastError(error);
      stdin?.cancel(reason);
      stdout.abort(reason);
      stderr?.abort(reason);
      throw reason;
    }
    const key = `${call.src},${args.stdout}`;
    const { exit } = child;
    const ended: SendStream[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const onEnd = (stream: SendStream) => {
      ended.push(stream);
      timer ??= setTimeout(() => {
        timer = undefined;
        for (const one of ended.splice(0)) void one.close();
      }, END_GRACE);
    };
    // Who cancels its output closes it, as a pipe's reader would. Only Deno gives it a pipe. From node and bun it has a
    // socket, whose end is an error that programs complain of, and an SSH server would have to be told by OpenSSH's
    // eow@openssh.com, which ssh2 does not speak: there it is ended.
    const isPipe = this.#at.host.runtime === "deno";
    const output = ([[child.stdout, stdout], [child.stderr, stderr]] as const)
      .map(([source, stream]) => {
        void stream.ended.then((reason) => {
          if (reason?.kind !== "cancelled") return;
          if (isPipe || stream === stderr) source.cancel();
          else void terminate(running);
        });
        return deliver(source, stream).then(onEnd.bind(null, stream));
      });
    const done = Promise.all([exit, ...output]);
    const running: Running = { child, leave: args.leave ?? false, done };
    this.#running.set(key, running);
    const onAbort = () => void terminate(running);
    call.signal.addEventListener("abort", onAbort);
    if (call.signal.aborted) onAbort();
    void feed(stdin, child);
    try {
      const [status] = await done;
      void stdout.close();
      void stderr.close();
      call.reply({ ...status });
      await Promise.resolve(); // All this leaves before we tidy up.
      return status;
    } catch (error) {
      const reason = toHoldfastError(error);
      stdout.abort(reason);
      stderr.abort(reason);
      throw reason;
    } finally {
      clearTimeout(timer);
      this.#running.delete(key);
      call.signal.removeEventListener("abort", onAbort);
      stdin?.cancel();
    }
  }

  /** Spawns; without a home the command runs in `/`, as under sshd, and a missing `cwd` is what the error names. */
  async #spawn(args: SpawnOptions): Promise<Child> {
    const { host } = this.#at;
    try {
      return await host.spawn(args);
    } catch (error) {
      // A direct host's shell finds out by itself.
      if (host.runtime === "direct" || await isEnterable(host, args.cwd ?? host.home())) {
        throw error;
      }
      if (args.cwd === undefined) return await host.spawn({ ...args, cwd: "/" });
      const text = `Cannot run in ${JSON.stringify(args.cwd)}: no such directory, or no permission`;
      throw new HoldfastError("not_found", text);
    }
  }
}

/** By trying: what a runtime says of a failed start does not tell a missing program from a missing directory. */
async function isEnterable(host: ProcessHost, path: string): Promise<boolean> {
  const command = ["/bin/sh", "-c", 'cd "$HOME"; cd "$0"', path];
  const child = await host.spawn({ command, cwd: "/" }).catch(() => null);
  if (!child) return true;
  child.stdout.cancel();
  child.stderr.cancel();
  await child.stdin.close();
  return (await child.exit).code === 0;
}

/** HUP, then TERM, then KILL to the whole group, until it has ended and its output is closed. */
async function terminate({ child, leave, done }: Running): Promise<void> {
  if (leave) return;
  for (const [signal, grace] of ENDING) {
    child.kill(signal);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const waited = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, grace, false);
    });
    const ended = await Promise.race([done.then(() => true, () => true), waited]);
    // The leader's end is not the group's: what ignored the signal gets its time, too.
    if (ended && await child.isAlive()) await waited;
    clearTimeout(timer);
    if (ended && !await child.isAlive()) return;
  }
}

async function feed(stdin: ReceiveStream | null, child: Child): Promise<void> {
  try {
    if (stdin) await pump(stdin, child.stdin);
    else await child.stdin.close();
  } catch (error) {
    // The process closed its input, or the sender broke off: either way no more will be written.
    stdin?.cancel(new HoldfastError("io", (error as Error).message));
    await child.stdin.close();
  }
}

/** Sends a process's output but its end; when nobody reads it any more, it is drained so that the process can end. */
async function deliver(source: ByteSource, stream: SendStream): Promise<void> {
  try {
    for (let bytes = await source.read(); bytes !== null; bytes = await source.read()) {
      await stream.write(bytes);
    }
  } catch {
    while (await source.read().catch(() => null));
  }
}
