/** Small files on node and bun, without their thread pool; see `quick_files.ts`. */
import type { Host } from "../core/host.ts";
import { builtin } from "../core/builtin.ts";
import { type Fs, nodeFileInfo } from "./host_node.ts";
import { absolute } from "../core/host_paths.ts";
import { nodeProcess } from "../core/node_process.ts";
import { attempt, attemptNow } from "../core/os_error.ts";
import type { Found, RuntimeFiles } from "./runtime_files.ts";

export function nodeQuickFiles(host: Host): RuntimeFiles {
  const fs = builtin("fs") as Fs;
  const umask = nodeProcess().umask();
  return {
    look(path, limit) {
      const real = absolute(host, path);
      const now = <T>(action: string, run: () => T): T =>
        attemptNow(`${action} ${JSON.stringify(path)}`, run);
      const found: Found = nodeFileInfo(now("look at", () => fs.lstatSync(real)));
      const { type, size } = found;
      if (type === "directory") found.names = now("read directory", () => fs.readdirSync(real));
      else if (type === "symlink") found.target = now("read link", () => fs.readlinkSync(real));
      else if (type === "file" && size > 0 && size <= limit) {
        const file = now("open", () => fs.openSync(real, "r"));
        try {
          found.content = now("read", () => fill(file, size));
        } finally {
          fs.closeSync(file);
        }
      }
      return found;
    },

    write(path, content, { mode, mtime }) {
      const real = absolute(host, path);
      const doing = (what: string) => `${what} ${JSON.stringify(path)}`;
      const file = attemptNow(
        doing("create"),
        () => fs.openSync(real, "wx", mode === null ? undefined : mode & 0o777),
      );
      try {
        attemptNow(doing("write"), () => {
          for (let at = 0; at < content.length;) at += fs.writeSync(file, content, at);
          // Creating took the umask off, and writing set-id bits.
          if (mode && mode & (umask | 0o7000)) fs.fchmodSync(file, mode);
          if (mtime !== null) fs.futimesSync(file, mtime / 1000, mtime / 1000);
        });
      } catch (error) {
        fs.closeSync(file);
        throw error;
      }
      return {
        sync: () =>
          attempt(
            doing("sync"),
            () =>
              new Promise<void>((resolve, reject) =>
                fs.fsync(file, (error) => error ? reject(error) : resolve())
              ),
          ),
        close: () => fs.closeSync(file),
      };
    },
  };

  function fill(file: number, size: number): Uint8Array {
    const buffer = new Uint8Array(size);
    let filled = 0;
    for (let count = -1; filled < size && count !== 0; filled += count) {
      count = fs.readSync(file, buffer, filled, size - filled, null);
    }
    return buffer.subarray(0, filled);
  }
}
