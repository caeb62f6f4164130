/**
 * Processes on node and bun, and their standard input and output as a link: what every context needs. Modules come
 * through `process`: the core is a script, not a module.
 */
import { builtin } from "./builtin.ts";
import type { ByteSource, Child, ProcessHost, Transport } from "./host.ts";
import { absolute, shellWords } from "./host_paths.ts";
import { nodeProcess } from "./node_process.ts";
import { attempt } from "./os_error.ts";

type Fs = typeof import("node:fs");
type ChildProcess = typeof import("node:child_process");
type Spawned = import("node:child_process").ChildProcess;
type Readable = import("node:stream").Readable;

/** Not at load time, because on Deno these modules cost milliseconds. */
export function nodeProcesses(): ProcessHost {
  const { spawn } = builtin("child_process") as ChildProcess;
  const process = nodeProcess();
  const host: ProcessHost = {
    runtime: "Bun" in globalThis ? "bun" : "node",
    runtimePath: process.execPath,
    shell: process.env.SHELL || "/bin/sh",
    home: () => process.env.HOME ?? "/",

    spawn(options) {
      const [program, ...args] = shellWords(options, host.shell);
      return attempt(`run ${JSON.stringify(program)}`, () =>
        new Promise((resolve, reject) => {
          const child = spawn(program, args, {
            cwd: absolute(host, options.cwd ?? ""),
            env: { ...process.env, ...options.env },
            stdio: ["pipe", "pipe", "pipe"],
            detached: true,
          });
          child.once("spawn", () => resolve(childOf(child)));
          child.once("error", reject);
        }));
    },
  };
  return host;
}

/** Standard input and output of this process as a link's transport. */
export function nodeStdio(): Transport {
  const fs = builtin("fs") as Fs;
  const input = sourceOf(nodeProcess().stdin);
  return {
    read: () => input.read(),
    // Not process.stdout: on a pipe that blocks the loop, and two peers that write at once deadlock.
    async write(bytes) {
      for (let at = 0; at < bytes.length;) {
        at += await new Promise<number>((resolve, reject) => {
          const again = () =>
            fs.write(1, bytes, at, bytes.length - at, null, (error, count) => {
              if (error?.code === "EAGAIN") setTimeout(again, 1);
              else if (error) reject(error);
              else resolve(count);
            });
          again();
        });
      }
    },
    close() {
      input.cancel();
    },
  };
}

function childOf(child: Spawned): Child {
  const stdin = child.stdin!;
  stdin.on("error", () => {});
  return {
    pid: child.pid!,
    stdin: {
      write: (bytes) =>
        attempt("write to the process", () =>
          new Promise((resolve, reject) => {
            stdin.write(bytes, (error) => error ? reject(error) : resolve());
          })),
      close: () => new Promise((resolve) => stdin.destroyed ? resolve() : stdin.end(resolve)),
    },
    stdout: sourceOf(child.stdout!),
    stderr: sourceOf(child.stderr!),
    exit: new Promise((resolve) =>
      child.once(
        "exit",
        (code, signal) =>
          resolve(signal === null ? { code: code!, signal } : { code: null, signal }),
      )
    ),
    kill(signal) {
      try {
        nodeProcess().kill(-child.pid!, signal);
      } catch {
        // The group has ended.
      }
    },
    isAlive() {
      try {
        return nodeProcess().kill(-child.pid!, 0);
      } catch {
        return false;
      }
    },
    resize() {},
  };
}

function sourceOf(stream: Readable): ByteSource {
  const chunks = stream[Symbol.asyncIterator]();
  let cancelled = false;
  return {
    async read() {
      if (cancelled) return null;
      const { value, done } = await chunks.next();
      return done ? null : value;
    },
    cancel() {
      cancelled = true;
      stream.destroy();
    },
  };
}
