/** ssh's escape characters: finds `~.` and its like at the beginning of a typed line. Pure; for `terminal_session.ts`. */

export type EscapeCommand = "disconnect" | "suspend" | "help" | "unsupported";

const COMMANDS: Record<string, EscapeCommand> = {
  ".": "disconnect",
  "\x1a": "suspend",
  "?": "help",
  "#": "unsupported",
  "&": "unsupported",
  B: "unsupported",
  C: "unsupported",
  R: "unsupported",
  V: "unsupported",
  v: "unsupported",
};

const RETURN = 13;
const NEWLINE = 10;

export class EscapeFilter {
  readonly #escape: number;
  #atLineStart = true;
  #pending = false;

  /** `escape` is one character of ASCII. */
  constructor(escape: string) {
    this.#escape = escape.charCodeAt(0);
  }

  /** What of the typed bytes goes to the other side, and the commands among them, in order. */
  read(bytes: Uint8Array): (Uint8Array | EscapeCommand)[] {
    const found: (Uint8Array | EscapeCommand)[] = [];
    let sent: number[] = [];
    for (const byte of bytes) {
      if (this.#pending) {
        this.#pending = false;
        const key = String.fromCharCode(byte);
        if (Object.hasOwn(COMMANDS, key)) {
          if (sent.length > 0) found.push(Uint8Array.from(sent));
          sent = [];
          found.push(COMMANDS[key]);
          continue;
        }
        if (byte !== this.#escape) sent.push(this.#escape);
      } else if (this.#atLineStart && byte === this.#escape) {
        this.#pending = true;
        continue;
      }
      this.#atLineStart = byte === RETURN || byte === NEWLINE;
      sent.push(byte);
    }
    if (sent.length > 0) found.push(Uint8Array.from(sent));
    return found;
  }
}
