/** The whole host interface on node and bun: files beside processes. */
import { builtin } from "../core/builtin.ts";
import type { FileInfo, Host, OpenFile } from "../core/host.ts";
import { absolute } from "../core/host_paths.ts";
import { nodeProcess } from "../core/node_process.ts";
import { attempt, attemptNow } from "../core/os_error.ts";
import { nodeProcesses } from "../core/processes_node.ts";

export type Fs = typeof import("node:fs");

/** Not at load time, because on Deno these modules cost milliseconds. */
export function nodeHost(): Host {
  const fs = builtin("fs") as Fs;
  const { promises } = fs;

  const named = <T>(action: string, path: string, run: (real: string) => Promise<T>): Promise<T> =>
    attempt(`${action} ${JSON.stringify(path)}`, () => run(absolute(host, path)));

  const info = (path: string, read: (path: string) => Promise<import("node:fs").Stats>) =>
    named("look at", path, async (real) => nodeFileInfo(await read(real)));

  const open = (action: string, path: string, flags: string, mode?: number) =>
    named(action, path, async (real): Promise<OpenFile> => {
      const file = await promises.open(real, flags, mode);
      if (mode && mode & nodeProcess().umask()) await file.chmod(mode);
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
        now: {
          read: (buffer) =>
            attemptNow(
              doing("read"),
              () => fs.readSync(file.fd, buffer, 0, buffer.length, null) || null,
            ),
          write: (bytes) =>
            attemptNow(doing("write"), () => {
              for (let at = 0; at < bytes.length;) at += fs.writeSync(file.fd, bytes, at);
            }),
        },
      };
    });

  const host: Host = {
    ...nodeProcesses(),
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
