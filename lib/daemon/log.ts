/** The daemon's log file: one line per event with time and level, never a secret; rotated once when large. */
import { printable } from "../core/printable.ts";
import { LOG_LEVELS, type LogLevel } from "../rendezvous/settings.ts";

/** Bytes after which the log is moved to `log.old`. */
const ROTATE_AT = 8 * 1024 * 1024;

export type Log = (level: LogLevel, text: string) => void;

/** Opens `path` for appending, readable by the user only. */
export function openLog(path: string, { level }: { level: LogLevel }): Log {
  const options = { create: true, append: true, mode: 0o600 };
  let file = Deno.openSync(path, options);
  let size = file.statSync().size;
  const encoder = new TextEncoder();
  const wanted = LOG_LEVELS.indexOf(level);
  return (of, text) => {
    if (LOG_LEVELS.indexOf(of) > wanted) return;
    const line = encoder.encode(`${new Date().toISOString()} ${of} ${printable(text)}\n`);
    try {
      if ((size += line.length) > ROTATE_AT) {
        Deno.renameSync(path, `${path}.old`);
        file.close();
        file = Deno.openSync(path, options);
        size = line.length;
      }
      file.writeSync(line);
    } catch {
      // A full disk must not stop the connections.
    }
  };
}
