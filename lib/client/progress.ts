/**
 * The progress line of `put` and `fetch`: name, percentage or bytes, rate, time left. Only on a terminal; one
 * line that is redrawn at most ten times a second and gone at the end.
 */
import { printable } from "../core/printable.ts";
import type { TreeProgress } from "../files/tree_format.ts";

/** Milliseconds between two drawings. */
const INTERVAL = 100;
const ERASE = "\r\x1b[K";

export interface ProgressOptions {
  /** Where to draw; default: standard error. */
  write?(text: string): void;
  /** Width in columns at each drawing; default: the terminal's. */
  columns?(): number;
  /** Milliseconds; default: `performance.now`. */
  now?(): number;
}

/** Draws a transfer's progress. Nothing is drawn in the first tenth of a second. */
export class ProgressLine {
  readonly #write: (text: string) => void;
  readonly #columns: () => number;
  readonly #now: () => number;
  readonly #begun: number;
  #drawnAt: number;
  #shown = false;

  constructor(options: ProgressOptions = {}) {
    this.#write = options.write ?? writeToStderr;
    this.#columns = options.columns ?? terminalColumns;
    this.#now = options.now ?? (() => performance.now());
    this.#begun = this.#drawnAt = this.#now();
  }

  update(progress: TreeProgress): void {
    const now = this.#now();
    if (now - this.#drawnAt < INTERVAL) return;
    this.#drawnAt = now;
    this.#shown = true;
    this.#write(ERASE + this.#line(progress, (now - this.#begun) / 1000));
  }

  /** Takes the line away, so that something else can be written. Idempotent. */
  clear(): void {
    if (this.#shown) this.#write(ERASE);
    this.#shown = false;
  }

  #line({ path, done, size, totals }: TreeProgress, seconds: number): string {
    const rate = totals.bytes / seconds;
    const parts = [size ? `${Math.min(100, Math.floor(100 * done / size))}%` : formatBytes(done)];
    if (totals.files > 1) parts.push(`${totals.files} files`);
    parts.push(formatBytes(totals.bytes), `${formatBytes(rate)}/s`);
    // Of a single file the end is in sight; of a tree it is not.
    if (size && done === totals.bytes && rate > 0) parts.push(formatTime((size - done) / rate));
    const right = parts.join("  ");
    const room = this.#columns() - right.length - 3;
    return room < 4 ? right.slice(0, this.#columns() - 1) : `${this.#fit(path, room)}  ${right}`;
  }

  /** The last component of `path` in exactly `room` columns: cut in front, filled behind. */
  #fit(path: string, room: number): string {
    let name = printable(path.slice(path.lastIndexOf("/") + 1));
    if (width(name) > room) {
      const letters = [...name];
      while (width(letters.join("")) > room - 1) letters.shift();
      name = "…" + letters.join("");
    }
    return name + " ".repeat(Math.max(0, room - width(name)));
  }
}

/** The progress line of a terminal; null when stderr is none. */
export function terminalProgress(): ProgressLine | null {
  return Deno.stderr.isTerminal() ? new ProgressLine() : null;
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** Columns of a text; near enough for a line that leaves room. */
function width(text: string): number {
  let columns = 0;
  for (const letter of text) columns += WIDE.test(letter) ? 2 : /\p{M}/u.test(letter) ? 0 : 1;
  return columns;
}

/** `1.5 MB`: three digits at most, in powers of 1000. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (bytes >= 999.5 && unit < units.length - 1) {
    bytes /= 1000;
    unit++;
  }
  return `${unit > 0 && bytes < 9.95 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

/** `4s`, `3m05s`, `2h10m`. */
function formatTime(seconds: number): string {
  const whole = Math.ceil(seconds);
  const two = (number: number) => String(Math.floor(number)).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h${two(whole % 3600 / 60)}m`;
}

function writeToStderr(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
}

function terminalColumns(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}
