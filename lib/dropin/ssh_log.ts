/** What the drop-in says itself: on stderr, or in the file of `-E`, as much as the log level lets through. */
import { printable } from "../core/printable.ts";
import { LOG_LEVELS, type LogLevel } from "./ssh_request.ts";

export class SshLog {
  level: LogLevel = "INFO";
  #file: Deno.FsFile | null = null;
  #hasStderr = true;

  /** Says on stderr what only someone who looks for a fault wants to see. */
  get isDebug(): boolean {
    return this.#file === null && this.level.startsWith("DEBUG");
  }

  /** From now on everything goes to the end of this file. Rejects when it cannot be opened. */
  async open(path: string): Promise<void> {
    const { attempt }: typeof import("../core/os_error.ts") = await import(
      "../core/os_error.ts" as string
    );
    const options = { append: true, create: true, mode: 0o600 };
    this.#file = await attempt(`open log file "${path}"`, () => Deno.open(path, options));
  }

  /** From now on only a file is written to. */
  leaveStderr(): void {
    this.#hasStderr = false;
  }

  /** What cannot be written is lost: nothing depends on it. */
  write(level: LogLevel, text: string): void {
    if (LOG_LEVELS.indexOf(level) > LOG_LEVELS.indexOf(this.level)) return;
    if (!this.#file && !this.#hasStderr) return;
    const prefix = level.startsWith("DEBUG") ? `debug${level.slice(-1)}: ` : "";
    // The carriage return is for a terminal that another program has made raw.
    const line = `${prefix}${printable(text, { multiline: true })}\r\n`;
    try {
      (this.#file ?? Deno.stderr).writeSync(new TextEncoder().encode(line));
    } catch {
      // Its reader is gone, its disk is full, or there was none from the beginning.
    }
  }
}
