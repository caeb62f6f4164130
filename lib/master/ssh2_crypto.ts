/**
 * Puts `aes_gcm.ts` into ssh2, whose own AES-GCM on this runtime is slower than a disk. Imported by `ssh2.ts`
 * before ssh2 itself, whose other modules keep what they find in this one when they are loaded.
 */

import { Buffer } from "node:buffer";
import exported from "ssh2/lib/protocol/crypto.js";
import { AesGcm, CLEAR, hasAesGcm, TAG } from "./aes_gcm.ts";

/** What ssh2 asks of the outgoing half of a connection; the names are its own. */
interface Cipher {
  outSeqno: number;
  /** A packet of which `payloadSize` bytes from the sixth on are still to be filled. */
  allocPacket(payloadSize: number): Buffer;
  encrypt(packet: Buffer): void;
  free(): void;
}

/** The incoming half. */
interface Decipher {
  inSeqno: number;
  _onPayload(payload: Buffer): number | false | undefined;
  /** Takes `data` from `at` to `end`; returns how far it came when the payloads from there on are another's. */
  decrypt(data: Buffer, at: number, end: number): number | undefined;
  free(): void;
}

interface CipherInfo {
  sslName: string;
}

interface CipherConfig {
  outbound: {
    seqno: number;
    onWrite(bytes: Buffer): void;
    cipherInfo: CipherInfo;
    cipherKey: Buffer;
    cipherIV: Buffer;
  };
}

interface DecipherConfig {
  inbound: {
    seqno: number;
    onPayload: Decipher["_onPayload"];
    decipherInfo: CipherInfo;
    decipherKey: Buffer;
    decipherIV: Buffer;
  };
}

/** The parts of ssh2's module that are replaced. */
interface Ssh2Crypto {
  createCipher(config: CipherConfig): Cipher;
  createDecipher(config: DecipherConfig): Decipher;
}

const BLOCK = 16;
const MIN_PADDING = 4;
/** Bytes of the largest packet that ssh2 takes. */
const MAX_PACKET = 35000;

/** What goes out in a packet of this size or more is a transfer. */
const LARGE = 8192;
/**
 * Where every large packet is made, of all connections: ssh2 fills and encrypts a packet before it asks for the
 * next, and what it writes to has copied the bytes when it returns (`joined_writes.ts`).
 */
const scratch = new ArrayBuffer(64 * 1024);

class GcmCipher implements Cipher {
  outSeqno: number;
  readonly #write: (bytes: Buffer) => void;
  readonly #gcm: AesGcm;
  #dead = false;

  constructor({ outbound }: CipherConfig) {
    this.outSeqno = outbound.seqno;
    this.#write = outbound.onWrite;
    this.#gcm = new AesGcm("seal", { key: outbound.cipherKey, iv: outbound.cipherIV });
  }

  allocPacket(payloadSize: number): Buffer {
    let padding = BLOCK - ((1 + payloadSize) % BLOCK);
    if (padding < MIN_PADDING) padding += BLOCK;
    const size = 1 + payloadSize + padding;
    const whole = CLEAR + size + TAG;
    const packet = whole < LARGE || whole > scratch.byteLength
      ? Buffer.allocUnsafe(whole)
      : Buffer.from(scratch, 0, whole);
    packet.writeUInt32BE(size, 0);
    packet[CLEAR] = padding;
    crypto.getRandomValues(packet.subarray(CLEAR + size - padding, CLEAR + size));
    return packet;
  }

  encrypt(packet: Buffer): void {
    if (this.#dead) return;
    this.#gcm.process(packet as Buffer<ArrayBuffer>);
    this.#write(packet);
    this.outSeqno = (this.outSeqno + 1) >>> 0;
  }

  free(): void {
    this.#dead = true;
    this.#gcm.free();
  }
}

class GcmDecipher implements Decipher {
  inSeqno: number;
  _onPayload: Decipher["_onPayload"];
  readonly #gcm: AesGcm;
  #dead = false;
  /** What has come of a packet that is not whole yet: first its length, then all of it. */
  readonly #head = new Uint8Array(CLEAR);
  #partial: Uint8Array<ArrayBuffer> = this.#head;
  #filled = 0;

  constructor({ inbound }: DecipherConfig) {
    this.inSeqno = inbound.seqno;
    this._onPayload = inbound.onPayload;
    this.#gcm = new AesGcm("open", { key: inbound.decipherKey, iv: inbound.decipherIV });
  }

  decrypt(data: Buffer, at: number, end: number): number | undefined {
    // A payload's receiver may have ended the connection, and with it this.
    while (at < end && !this.#dead) {
      const packet = this.#nextPacket(data as Buffer<ArrayBuffer>, at, end);
      at += this.#taken;
      if (packet === null) continue;
      if (!this.#gcm.process(packet)) throw new Error("Invalid MAC");
      this.inSeqno = (this.inSeqno + 1) >>> 0;
      const result = this._onPayload(payloadOf(packet));
      if (result !== undefined) return result === false ? at : result;
    }
  }

  free(): void {
    this.#dead = true;
    this.#gcm.free();
  }

  /** How many bytes the last {@linkcode GcmDecipher.#nextPacket} took. */
  #taken = 0;

  /** A whole packet: a part of `data` where it lies in there, else put together. */
  #nextPacket(data: Buffer<ArrayBuffer>, at: number, end: number): Uint8Array<ArrayBuffer> | null {
    const left = end - at;
    if (this.#filled === 0 && left >= CLEAR) {
      const size = packetSize(data, at);
      if (left >= size) {
        this.#taken = size;
        const view = new Uint8Array(data.buffer, data.byteOffset + at, size);
        // A small payload that waits somewhere must not hold on to all that came with it.
        return size < data.length / 8 ? view.slice() : view;
      }
      this.#partial = new Uint8Array(size);
    }
    const count = this.#taken = Math.min(left, this.#partial.length - this.#filled);
    this.#partial.set(data.subarray(at, at + count), this.#filled);
    this.#filled += count;
    if (this.#filled < this.#partial.length) return null;
    if (this.#partial === this.#head) {
      const whole = new Uint8Array(packetSize(this.#head, 0));
      whole.set(this.#head);
      this.#partial = whole;
      return null;
    }
    const packet = this.#partial;
    this.#partial = this.#head;
    this.#filled = 0;
    return packet;
  }
}

/** Bytes of the packet that begins at `at`, its length and tag included. Throws as ssh2 does. */
function packetSize(bytes: Uint8Array, at: number): number {
  const size = bytes[at] * 2 ** 24 + (bytes[at + 1] << 16) + (bytes[at + 2] << 8) + bytes[at + 3];
  if (CLEAR + size + TAG > MAX_PACKET || size < BLOCK || size % BLOCK !== 0) {
    throw new Error("Bad packet length");
  }
  return CLEAR + size + TAG;
}

function payloadOf(packet: Uint8Array<ArrayBuffer>): Buffer {
  const size = packet.length - CLEAR - TAG - 1 - packet[CLEAR];
  if (size < 0) throw new Error("Bad packet padding");
  return Buffer.from(packet.buffer, packet.byteOffset + CLEAR + 1, size);
}

const ssh2Crypto: Ssh2Crypto = exported;
const { createCipher, createDecipher } = ssh2Crypto;

function isGcm({ sslName }: CipherInfo): boolean {
  return (sslName === "aes-128-gcm" || sslName === "aes-256-gcm") && hasAesGcm();
}

ssh2Crypto.createCipher = (config) =>
  isGcm(config.outbound.cipherInfo) ? new GcmCipher(config) : createCipher(config);

ssh2Crypto.createDecipher = (config) =>
  isGcm(config.inbound.decipherInfo) ? new GcmDecipher(config) : createDecipher(config);
