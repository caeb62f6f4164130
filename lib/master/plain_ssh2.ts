/**
 * An ssh2 client over a connection that somebody else has authenticated and encrypts: what comes and goes is SSH's
 * connection protocol in the clear. The only file that reaches into ssh2's internals, all of them in
 * {@linkcode Internals}. Used by `openssh_endpoint.ts`.
 */

import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import { HoldfastError } from "../core/errors.ts";
import { Client, type Ssh2Client } from "./ssh2.ts";

/** Bytes of one packet; OpenSSH's own limit. */
const LONGEST_PACKET = 256 * 1024;

/** What is used of ssh2 1.17's `Protocol`. */
interface Internals {
  /** Would send our version line. */
  start(): void;
  /** Takes bytes, and tells up to where it has read them. */
  _parse(chunk: Uint8Array, from: number, to: number): number;
  /** Takes one message. */
  _onPayload(payload: Uint8Array): void;
  /** Tells the client who the peer is. */
  _onHeader(header: { versions: { software: string } }): void;
  _remoteIdentRaw: Uint8Array;
  _cipher: Cipher;
}

interface Cipher {
  outSeqno: number;
  /** A packet with room for a message behind its five bytes of header. */
  allocPacket(messageLength: number): Uint8Array;
  encrypt(packet: Uint8Array): void;
  free(): void;
}

/**
 * Takes over `stream`, whose packets have a length, a padding length of zero, and one message each. `software` is the
 * server's, as its version line has it: some servers need their own order of SFTP's arguments.
 */
export function plainSsh2(stream: Duplex, { software }: { software: string }): Ssh2Client {
  const client = new Client();
  client.connect({ sock: stream as never, username: "-", readyTimeout: 0, keepaliveInterval: 0 });
  const { _protocol: protocol } = client as unknown as { _protocol?: Internals };
  if (typeof protocol?._onPayload !== "function" || typeof protocol.start !== "function") {
    throw new HoldfastError("internal", "Cannot use ssh2: its protocol object has changed");
  }
  // ssh2 starts the handshake in a later turn: by then there must be nothing left of it.
  protocol.start = () => {};
  protocol._remoteIdentRaw = Buffer.from(`SSH-2.0-${software}`);
  protocol._onHeader({ versions: { software } });
  protocol._cipher = plainCipher(stream);
  const reader = new PacketReader((message) => protocol._onPayload(message));
  protocol._parse = (chunk, from, to) => {
    reader.push(chunk.subarray(from, to));
    return to;
  };
  return client;
}

function plainCipher(stream: Duplex): Cipher {
  return {
    outSeqno: 0,
    allocPacket(messageLength) {
      const packet = Buffer.allocUnsafe(5 + messageLength);
      packet.writeUInt32BE(1 + messageLength, 0);
      packet[4] = 0;
      return packet;
    },
    encrypt(packet) {
      if (stream.writable) stream.write(packet);
    },
    free() {},
  };
}

/** Cuts a stream into messages. A message that came in one piece is handed on as a view of it. */
class PacketReader {
  readonly #onMessage: (message: Uint8Array) => void;
  /** The beginning of a packet whose end has not come, and how much of it there is. */
  #packet: Buffer = Buffer.alloc(4);
  #filled = 0;

  constructor(onMessage: (message: Uint8Array) => void) {
    this.#onMessage = onMessage;
  }

  /** Throws when the stream is out of step. */
  push(chunk: Uint8Array): void {
    while (chunk.length > 0) {
      if (this.#filled === 0 && chunk.length >= 4) {
        const size = 4 + lengthIn(chunk);
        if (chunk.length >= size) {
          this.#take(Buffer.from(chunk.buffer, chunk.byteOffset, size));
          chunk = chunk.subarray(size);
          continue;
        }
      }
      chunk = this.#fill(chunk);
    }
  }

  /** Adds to the packet under way, first its length, then the rest; returns what is left of `chunk`. */
  #fill(chunk: Uint8Array): Uint8Array {
    const part = chunk.subarray(0, this.#packet.length - this.#filled);
    this.#packet.set(part, this.#filled);
    this.#filled += part.length;
    if (this.#filled === 4 && this.#packet.length === 4) {
      const packet = Buffer.allocUnsafe(4 + lengthIn(this.#packet));
      packet.set(this.#packet);
      this.#packet = packet;
    } else if (this.#filled === this.#packet.length) {
      const packet = this.#packet;
      this.#packet = Buffer.alloc(4);
      this.#filled = 0;
      this.#take(packet);
    }
    return chunk.subarray(part.length);
  }

  #take(packet: Buffer): void {
    const padding = packet[4];
    if (padding > packet.length - 6) throw outOfStep();
    this.#onMessage(packet.subarray(5, packet.length - padding));
  }
}

function lengthIn(packet: Uint8Array): number {
  const length = new DataView(packet.buffer, packet.byteOffset).getUint32(0);
  if (length < 2 || length > LONGEST_PACKET) throw outOfStep();
  return length;
}

function outOfStep(): HoldfastError {
  return new HoldfastError("protocol", "Cannot read what OpenSSH's client sends: bad packet");
}
