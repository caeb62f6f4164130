/** A tar archive with nothing in it but names, modes and contents: the same files give the same bytes. */

export interface ArchiveFile {
  name: string;
  /** Permission bits. */
  mode: number;
  content: Uint8Array;
}

const BLOCK = 512;

/** The archive in the ustar format. */
export function tar(files: ArchiveFile[]): Uint8Array<ArrayBuffer> {
  const padded = (size: number) => Math.ceil(size / BLOCK) * BLOCK;
  const size = files.reduce((sum, { content }) => sum + BLOCK + padded(content.length), 2 * BLOCK);
  const archive = new Uint8Array(size);
  let at = 0;
  for (const file of files) {
    archive.set(header(file), at);
    archive.set(file.content, at + BLOCK);
    at += BLOCK + padded(file.content.length);
  }
  return archive;
}

function header({ name, mode, content }: ArchiveFile): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const put = (text: string, at: number) => block.set(new TextEncoder().encode(text), at);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
  put(name, 0);
  put(octal(mode, 7), 100);
  put(octal(0, 7), 108); // user
  put(octal(0, 7), 116); // group
  put(octal(content.length, 11), 124);
  put(octal(0, 11), 136); // time
  put(" ".repeat(8), 148); // the checksum's place while it is computed
  put("0", 156);
  put("ustar\x0000", 257);
  put(`${octal(block.reduce((sum, byte) => sum + byte, 0), 6)}\0 `, 148);
  return block;
}
