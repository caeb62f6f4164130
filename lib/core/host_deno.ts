/** The host interface on Deno. */
import type { ByteSink, ByteSource, Child, FileInfo, Host, OpenFile, Transport } from "./host.ts";
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

export const denoHost: Host = {
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
    const words = shellWords(options, denoHost.shell);
    const [program, ...args] = detached ? words : [SETSID, ...words];
    return attempt(`run ${JSON.stringify(program)}`, () => {
      const child = new Deno.Command(program, {
        args,
        cwd: absolute(denoHost, options.cwd ?? ""),
        env: options.env,
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
        detached,
      }).spawn();
      return childOf(child);
    });
  },

  stat: (path) => info(path, Deno.stat),
  lstat: (path) => info(path, Deno.lstat),
  readDir: (path) =>
    named("read directory", path, async (real) => {
      const names: string[] = [];
      for await (const entry of Deno.readDir(real)) names.push(entry.name);
      return names;
    }),
  readLink: (path) => named("read link", path, Deno.readLink),
  symlink: (target, path) => named("make link", path, (real) => Deno.symlink(target, real)),
  mkdir: (path, mode) => named("make directory", path, (real) => Deno.mkdir(real, { mode })),
  rename: (from, to) => named("replace", to, (real) => Deno.rename(absolute(denoHost, from), real)),
  remove: (path) => named("remove", path, (real) => Deno.remove(real)),
  chmod: (path, mode) => named("set mode of", path, (real) => Deno.chmod(real, mode)),
  setTime: (path, mtime) =>
    named("set time of", path, (real) => Deno.utime(real, mtime / 1000, mtime / 1000)),
  openRead: (path) => named("open", path, async (real) => openFile(await Deno.open(real), path)),
  create: (path, mode) =>
    named("create", path, async (real) => {
      const file = await Deno.open(real, { write: true, createNew: true, mode });
      if (mode && mode & Deno.umask()) await Deno.chmod(real, mode);
      return openFile(file, path);
    }),
};

/** Standard input and output of this process as a link's transport. */
export function denoStdio(): Transport {
  return {
    async read() {
      const buffer = new Uint8Array(READ_SIZE);
      const count = await Deno.stdin.read(buffer);
      return count === null ? null : buffer.subarray(0, count);
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

function named<T>(action: string, path: string, run: (real: string) => Promise<T>): Promise<T> {
  return attempt(`${action} ${JSON.stringify(path)}`, () => run(absolute(denoHost, path)));
}

function info(path: string, read: (path: string) => Promise<Deno.FileInfo>): Promise<FileInfo> {
  return named("look at", path, async (real) => denoFileInfo(await read(real)));
}

export function denoFileInfo(found: Deno.FileInfo): FileInfo {
  return {
    type: found.isFile
      ? "file"
      : found.isDirectory
      ? "directory"
      : found.isSymlink
      ? "symlink"
      : "other",
    mode: (found.mode ?? 0) & 0o7777,
    size: found.size,
    mtime: found.mtime?.getTime() ?? 0,
  };
}

function openFile(file: Deno.FsFile, path: string): OpenFile {
  const doing = (what: string) => `${what} ${JSON.stringify(path)}`;
  return {
    read: (buffer) => attempt(doing("read"), () => file.read(buffer)),
    write: (bytes) => attempt(doing("write"), () => writeAll(file, bytes)),
    sync: () => attempt(doing("sync"), () => file.sync()),
    // deno-lint-ignore require-await
    close: async () => file.close(),
  };
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
