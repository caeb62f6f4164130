/** What the drop-in says itself: on stderr, or in the file of `-E`, as much as the log level lets through. */
import { printable } from "../core/printable.ts";
import { LOG_LEVELS, type LogLevel } from "./ssh_request.ts";

export class SshLog {
  level: LogLevel = "INFO";
  #file: Deno.FsFile | null = null;

  /** From now on everything goes to the end of this file. Throws when it cannot be opened. */
  open(path: string): void {
    this.#file = Deno.openSync(path, { append: true, create: true, mode: 0o600 });
  }

  write(level: LogLevel, text: string): void {
    if (LOG_LEVELS.indexOf(level) > LOG_LEVELS.indexOf(this.level)) return;
    const prefix = level.startsWith("DEBUG") ? `debug${level.slice(-1)}: ` : "";
    // The carriage return is for a terminal that another program has made raw.
    const line = `${prefix}${printable(text, { multiline: true })}\r\n`;
    (this.#file ?? Deno.stderr).writeSync(new TextEncoder().encode(line));
  }
}
