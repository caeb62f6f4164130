/** SFTP version 3 on the wire (draft-ietf-secsh-filexfer-02): numbers, packets, fields. For `sftp_server.ts`. */
import { HoldfastError } from "../core/errors.ts";

export const SFTP_VERSION = 3;

/** Bytes of a packet without its length, as OpenSSH has it, and of the data in one that reads or writes. */
export const MAX_PACKET = 256 * 1024;
export const MAX_DATA = MAX_PACKET - 1024;

export const TYPE = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  rmdir: 15,
  realpath: 16,
  stat: 17,
  rename: 18,
  readlink: 19,
  symlink: 20,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attrs: 105,
  extended: 200,
  extendedReply: 201,
} as const;

export const STATUS = {
  ok: 0,
  eof: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  unsupported: 8,
} as const;

/** Of a request to open a file. */
export const OPEN = {
  read: 1,
  write: 2,
  append: 4,
  create: 8,
  truncate: 16,
  exclusive: 32,
} as const;

/** Which attributes follow. */
export const HAS = { size: 1, owner: 2, mode: 4, times: 8, extended: 0x8000_0000 } as const;

/** Attributes that are to be set. Times are in seconds. */
export interface SftpAttributes {
  size?: number;
  owner?: { user: number; group: number };
  mode?: number;
  times?: { access: number; modification: number };
}

/** Reads the fields of one packet, in order. Throws `protocol` when there are fewer bytes than it should have. */
export class PacketReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  byte(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  /** Beyond 2^53, which is more than any file system has, it is not exact. */
  u64(): number {
    return Number(this.#view.getBigUint64(this.#advance(8)));
  }

  /** A view, not a copy. */
  bytes(): Uint8Array {
    const length = this.u32();
    const from = this.#advance(length);
    return this.#bytes.subarray(from, from + length);
  }

  text(): string {
    return new TextDecoder().decode(this.bytes());
  }

  attributes(): SftpAttributes {
    const flags = this.u32();
    const found: SftpAttributes = {};
    if (flags & HAS.size) found.size = this.u64();
    if (flags & HAS.owner) found.owner = { user: this.u32(), group: this.u32() };
    if (flags & HAS.mode) found.mode = this.u32() & 0o7777;
    if (flags & HAS.times) found.times = { access: this.u32(), modification: this.u32() };
    if (flags & HAS.extended) {
      for (let count = this.u32(); count > 0; count--) {
        this.bytes();
        this.bytes();
      }
    }
    return found;
  }

  #advance(count: number): number {
    const from = this.#at;
    if (from + count > this.#bytes.length) {
      throw new HoldfastError("protocol", "Cannot read an SFTP packet: it is too short");
    }
    this.#at += count;
    return from;
  }
}

/** Makes one packet, its length in front. */
export class PacketWriter {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #at = 4;

  constructor(type: number) {
    this.byte(type);
  }

  /** Bytes so far. */
  get size(): number {
    return this.#at;
  }

  byte(value: number): this {
    const at = this.#advance(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u32(value: number): this {
    const at = this.#advance(4);
    this.#view.setUint32(at, value);
    return this;
  }

  u64(value: number | bigint): this {
    const at = this.#advance(8);
    this.#view.setBigUint64(at, BigInt(value));
    return this;
  }

  bytes(value: Uint8Array): this {
    this.u32(value.length);
    const from = this.#advance(value.length);
    this.#bytes.set(value, from);
    return this;
  }

  text(value: string): this {
    return this.bytes(new TextEncoder().encode(value));
  }

  /** What was written by others, as it is. */
  raw(value: Uint8Array): this {
    const from = this.#advance(value.length);
    this.#bytes.set(value, from);
    return this;
  }

  /** What was written after the type. */
  get content(): Uint8Array {
    return this.#bytes.subarray(5, this.#at);
  }

  finish(): Uint8Array {
    this.#view.setUint32(0, this.#at - 4);
    return this.#bytes.subarray(0, this.#at);
  }

  #advance(count: number): number {
    const from = this.#at;
    this.#at += count;
    if (this.#at > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#at, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return from;
  }
}

/** Cuts a stream of bytes into packets. Bounded: holds one packet, and what came with its last bytes. */
export class PacketSplitter {
  #chunks: Uint8Array[] = [];
  #held = 0;

  /** Takes bytes; the packets that are whole now, without their lengths. Throws `protocol` for one that is too large. */
  *split(bytes: Uint8Array): Generator<Uint8Array> {
    this.#chunks.push(bytes);
    this.#held += bytes.length;
    while (this.#held >= 4) {
      const head = this.#peek(4);
      const length = new DataView(head.buffer, head.byteOffset).getUint32(0);
      if (length < 1 || length > MAX_PACKET) {
        throw new HoldfastError("protocol", "Cannot read an SFTP packet: its length is none");
      }
      if (this.#held < 4 + length) return;
      const whole = this.#peek(4 + length);
      this.#drop(4 + length);
      yield whole.subarray(4);
    }
  }

  /** The first `count` bytes in one piece. */
  #peek(count: number): Uint8Array {
    if (this.#chunks[0].length < count) {
      const whole = new Uint8Array(this.#held);
      let at = 0;
      for (const chunk of this.#chunks) {
        whole.set(chunk, at);
        at += chunk.length;
      }
      this.#chunks = [whole];
    }
    return this.#chunks[0].subarray(0, count);
  }

  #drop(count: number): void {
    this.#held -= count;
    this.#chunks[0] = this.#chunks[0].subarray(count);
    if (this.#chunks[0].length === 0) this.#chunks.shift();
  }
}
