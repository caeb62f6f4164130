/** Content that was written is compared with what is there, by whatever tool there can. Used by `shell_writer.ts`. */
import { createHash } from "node:crypto";

/** What was written, as the tool there would see it. */
export interface ContentSum {
  update(bytes: Uint8Array): void;
  /** What begins the tool's line. */
  value(): string;
}

export interface CheckTool {
  /** A command that reads the content and prints a line. */
  command: string;
  start(): ContentSum;
}

const SHA256: Record<string, string> = {
  sha256sum: "sha256sum",
  shasum: "shasum -a 256",
  openssl: "openssl dgst -sha256 -r",
};

/** `tool`: a program that is there; SHA-256 where one can compute it, else POSIX's own checksum. */
export function checkTool(tool: string): CheckTool {
  if (!Object.hasOwn(SHA256, tool)) return { command: "cksum", start: () => new Cksum() };
  return {
    command: SHA256[tool],
    start() {
      const hash = createHash("sha256");
      return { update: (bytes) => void hash.update(bytes), value: () => hash.digest("hex") };
    },
  };
}

const POLYNOMIAL = 0x04c11db7;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc << 1 ^ (crc < 0 ? POLYNOMIAL : 0);
  return crc >>> 0;
});

/** POSIX's cksum: a CRC of the content and its length, and the length. */
class Cksum implements ContentSum {
  #crc = 0;
  #length = 0;

  update(bytes: Uint8Array): void {
    for (const byte of bytes) this.#take(byte);
    this.#length += bytes.length;
  }

  value(): string {
    for (let rest = this.#length; rest > 0; rest = Math.floor(rest / 256)) this.#take(rest % 256);
    return `${(~this.#crc) >>> 0} ${this.#length}`;
  }

  #take(byte: number): void {
    this.#crc = (this.#crc << 8 ^ TABLE[this.#crc >>> 24 ^ byte]) >>> 0;
  }
}
