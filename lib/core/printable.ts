/**
 * Makes text that came from somewhere else safe to show: whatever could drive a terminal or hide its
 * own meaning becomes visible. Used wherever a message quotes a peer. Imports nothing.
 */

export interface PrintableOptions {
  /** Lets newline and tab through. Default false. */
  multiline?: boolean;
}

/**
 * Returns `text` with C0 and C1 controls and DEL as `\xNN`, and line separators, bidirectional controls,
 * zero-width characters and lone surrogates as `\u{...}`. A backslash stays as it is, so the result is for eyes, not for parsing.
 */
export function printable(text: string, options: PrintableOptions = {}): string {
  let result = "";
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (options.multiline && (code === 0x0a || code === 0x09)) result += character;
    else if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) {
      result += "\\x" + code.toString(16).padStart(2, "0");
    } else if (isDeceptive(code)) result += `\\u{${code.toString(16)}}`;
    else result += character;
  }
  return result;
}

function isDeceptive(code: number): boolean {
  return (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
    (code >= 0x2060 && code <= 0x206f) || code === 0x061c || code === 0xfeff ||
    (code >= 0xd800 && code <= 0xdfff) || (code >= 0xfff9 && code <= 0xfffb) ||
    (code >= 0xe0000 && code <= 0xe007f);
}
