/** Small files on Deno, without its thread pool; see `quick_files.ts`. */
import type { Host } from "../core/host.ts";
import { denoFileInfo } from "./host_deno.ts";
import { absolute } from "../core/host_paths.ts";
import { attempt, attemptNow } from "../core/os_error.ts";
import type { Found, RuntimeFiles } from "./runtime_files.ts";

export function denoQuickFiles(host: Host): RuntimeFiles {
  return {
    look(path, limit) {
      const real = absolute(host, path);
      const now = <T>(action: string, run: (path: string) => T): T =>
        attemptNow(`${action} ${JSON.stringify(path)}`, () => run(real));
      const found: Found = denoFileInfo(now("look at", Deno.lstatSync));
      const { type, size } = found;
      if (type === "directory") {
        found.names = now("read directory", (real) => [...Deno.readDirSync(real)])
          .map(({ name }) => name);
      } else if (type === "symlink") found.target = now("read link", Deno.readLinkSync);
      else if (type === "file" && size > 0 && size <= limit) {
        const file = now("open", (real) => Deno.openSync(real));
        try {
          found.content = now("read", () => fill(file, size));
        } finally {
          file.close();
        }
      }
      return found;
    },

    write(path, content, { mode, mtime }) {
      const real = absolute(host, path);
      const doing = (what: string) => `${what} ${JSON.stringify(path)}`;
      const file = attemptNow(doing("create"), () =>
        Deno.openSync(real, {
          write: true,
          createNew: true,
          mode: mode === null ? undefined : mode & 0o777,
        }));
      try {
        attemptNow(doing("write"), () => {
          for (let at = 0; at < content.length;) at += file.writeSync(content.subarray(at));
          // Creating took the umask off, and writing set-id bits.
          if (mode && mode & (Deno.umask() | 0o7000)) Deno.chmodSync(real, mode);
          if (mtime !== null) file.utimeSync(mtime / 1000, mtime / 1000);
        });
      } catch (error) {
        file.close();
        throw error;
      }
      return {
        sync: () => attempt(doing("sync"), () => file.sync()),
        close: () => file.close(),
      };
    },
  };
}

function fill(file: Deno.FsFile, size: number): Uint8Array {
  const buffer = new Uint8Array(size);
  let filled = 0;
  while (filled < size) {
    const count = file.readSync(buffer.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return buffer.subarray(0, filled);
}
