/** Processes on Deno, and its standard input and output as a link: what every context needs. */
import type { ByteSink, ByteSource, Child, ProcessHost, Transport } from "./host.ts";
import { absolute, shellWords } from "./host_paths.ts";
import { attempt, osError } from "./os_error.ts";

const READ_SIZE = 64 * 1024;
/** What a pipe takes in one piece. */
const SMALL_WRITE = 4096;
const SETSID = "/usr/bin/setsid";

let setsid: boolean | undefined;

function hasSetsid(): boolean {
  try {
    return setsid ??= Deno.statSync(SETSID).isFile;
  } catch {
    return setsid = false;
  }
}

export const denoProcesses: ProcessHost = {
  runtime: "deno",
  get runtimePath() {
    return Deno.execPath();
  },
  get shell() {
    return Deno.env.get("SHELL") || "/bin/sh";
  },
  home: () => Deno.env.get("HOME") ?? "/",

  spawn(options) {
    // A session of its own through setsid(1), where there is one: `detached` would fork this large process.
    const detached = typeof options.command !== "string" || !hasSetsid();
    const words = shellWords(options, denoProcesses.shell);
    const [program, ...args] = detached ? words : [SETSID, ...words];
    return attempt(`run ${JSON.stringify(program)}`, () => {
      const child = new Deno.Command(program, {
        args,
        cwd: absolute(denoProcesses, options.cwd ?? ""),
        env: options.env,
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
        detached,
      }).spawn();
      return childOf(child);
    });
  },
};

/** Standard input and output of this process as a link's transport. */
export function denoStdio(): Transport {
  let buffer = new Uint8Array(0);
  return {
    async read() {
      if (buffer.length === 0) buffer = new Uint8Array(READ_SIZE);
      const into = buffer;
      const count = await Deno.stdin.read(into);
      if (count === null) return null;
      // A small message leaves the buffer to the next one; a large one takes it along.
      if (count < READ_SIZE / 8) return into.slice(0, count);
      buffer = new Uint8Array(0);
      return into.subarray(0, count);
    },
    // A small batch goes at once: the way over Deno's threads costs more than the wait for the next reader.
    async write(bytes) {
      if (bytes.length > SMALL_WRITE) return await writeAll(Deno.stdout, bytes);
      for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
    },
    close() {
      // The process is about to end; closing a descriptor under a pending read would fail it.
    },
  };
}

/** Writes all of `bytes`, however few a single write takes. */
export async function writeAll(
  writer: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await writer.write(bytes.subarray(at));
}

function childOf(child: Deno.ChildProcess): Child {
  return {
    pid: child.pid,
    stdin: sinkOf(child.stdin),
    stdout: sourceOf(child.stdout),
    stderr: sourceOf(child.stderr),
    exit: child.status.then(({ code, signal }) =>
      signal === null ? { code, signal } : { code: null, signal }
    ),
    kill(signal) {
      try {
        Deno.kill(-child.pid, signal as Deno.Signal);
      } catch {
        // The group has ended.
      }
    },
    isAlive: () => {
      try {
        Deno.kill(-child.pid, 0 as never);
        return true;
      } catch {
        return false;
      }
    },
    resize() {},
  };
}

function sourceOf(stream: ReadableStream<Uint8Array>): ByteSource {
  const reader = stream.getReader();
  return {
    async read() {
      const { value } = await reader.read();
      return value ?? null;
    },
    cancel() {
      reader.cancel().catch(() => {});
    },
  };
}

function sinkOf(stream: WritableStream<Uint8Array>): ByteSink {
  const writer = stream.getWriter();
  writer.closed.catch(() => {});
  return {
    async write(bytes) {
      try {
        await writer.write(bytes);
      } catch (error) {
        throw osError("write to the process", error);
      }
    },
    async close() {
      await writer.close().catch(() => {});
    },
  };
}
