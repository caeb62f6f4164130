/** The whole host interface on Deno: files beside processes. */
import type { FileInfo, Host, OpenFile } from "../core/host.ts";
import { absolute } from "../core/host_paths.ts";
import { attempt, attemptNow } from "../core/os_error.ts";
import { denoProcesses, writeAll } from "../core/processes_deno.ts";

export const denoHost: Host = {
  runtime: "deno",
  get runtimePath() {
    return denoProcesses.runtimePath;
  },
  get shell() {
    return denoProcesses.shell;
  },
  home: denoProcesses.home,
  spawn: denoProcesses.spawn,

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
    now: {
      read: (buffer) => attemptNow(doing("read"), () => file.readSync(buffer)),
      write: (bytes) =>
        attemptNow(doing("write"), () => {
          for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
        }),
    },
  };
}
