/** The host interface on node and bun. Modules come through `process`: the core is a script, not a module. */
import type { ByteSource, Child, FileInfo, Host, OpenFile, Transport } from "./host.ts";
import { builtin } from "./builtin.ts";
import { absolute, shellWords } from "./host_paths.ts";
import { attempt } from "./os_error.ts";

type Process = typeof import("node:process") & { getBuiltinModule?(name: string): unknown };
export type Fs = typeof import("node:fs");
type ChildProcess = typeof import("node:child_process");
type Spawned = import("node:child_process").ChildProcess;
type Readable = import("node:stream").Readable;

const { process } = globalThis as unknown as { process: Process };

/** Builds the host; not at load time, because on Deno these modules cost milliseconds. */
export function nodeHost(): Host {
  const { spawn } = builtin("child_process") as ChildProcess;
  const fs = builtin("fs") as Fs;
  const { promises } = fs;

  const named = <T>(action: string, path: string, run: (real: string) => Promise<T>): Promise<T> =>
    attempt(`${action} ${JSON.stringify(path)}`, () => run(absolute(host, path)));

  const info = (path: string, read: (path: string) => Promise<import("node:fs").Stats>) =>
    named("look at", path, async (real) => nodeFileInfo(await read(real)));

  const open = (action: string, path: string, flags: string, mode?: number) =>
    named(action, path, async (real): Promise<OpenFile> => {
      const file = await promises.open(real, flags, mode);
      if (mode && mode & process.umask()) await file.chmod(mode);
      const doing = (what: string) => `${what} ${JSON.stringify(path)}`;
      return {
        read: (buffer) =>
          attempt(doing("read"), async () => {
            const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
            return bytesRead || null;
          }),
        write: (bytes) =>
          attempt(doing("write"), async () => {
            for (let at = 0; at < bytes.length;) {
              at += (await file.write(bytes, at, bytes.length - at, null)).bytesWritten;
            }
          }),
        sync: () => attempt(doing("sync"), () => file.sync()),
        close: () => attempt(doing("close"), () => file.close()),
      };
    });

  const host: Host = {
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

    stat: (path) => info(path, (real) => promises.stat(real)),
    lstat: (path) => info(path, (real) => promises.lstat(real)),
    readDir: (path) => named("read directory", path, (real) => promises.readdir(real)),
    readLink: (path) => named("read link", path, (real) => promises.readlink(real)),
    symlink: (target, path) => named("make link", path, (real) => promises.symlink(target, real)),
    mkdir: (path, mode) =>
      named("make directory", path, async (real) => void await promises.mkdir(real, { mode })),
    rename: (from, to) =>
      named("replace", to, (real) => promises.rename(absolute(host, from), real)),
    remove: (path) =>
      named("remove", path, async (real) => {
        const found = await promises.lstat(real);
        await (found.isDirectory() ? promises.rmdir(real) : promises.unlink(real));
      }),
    chmod: (path, mode) => named("set mode of", path, (real) => promises.chmod(real, mode)),
    setTime: (path, mtime) =>
      named("set time of", path, (real) => promises.utimes(real, mtime / 1000, mtime / 1000)),
    openRead: (path) => open("open", path, "r"),
    create: (path, mode) => open("create", path, "wx", mode),
  };
  return host;
}

export function nodeFileInfo(found: import("node:fs").Stats): FileInfo {
  return {
    type: found.isFile()
      ? "file"
      : found.isDirectory()
      ? "directory"
      : found.isSymbolicLink()
      ? "symlink"
      : "other",
    mode: found.mode & 0o7777,
    size: found.size,
    mtime: found.mtimeMs,
  };
}

/** Standard input and output of this process as a link's transport. */
export function nodeStdio(): Transport {
  const fs = builtin("fs") as Fs;
  const input = sourceOf(process.stdin);
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
        process.kill(-child.pid!, signal);
      } catch {
        // The group has ended.
      }
    },
    isAlive() {
      try {
        return process.kill(-child.pid!, 0);
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
