/**
 * Node streams as the core's byte sources and sinks, with back pressure in both directions.
 * Used by `ssh_child.ts` and `ssh_connection.ts` for ssh2's channels.
 */

import { Duplex, type Readable, type Writable } from "node:stream";
import { Buffer } from "node:buffer";
import type { ByteSink, ByteSource, Transport } from "../core/host.ts";
import { HoldfastError } from "../core/errors.ts";
import { outputCame } from "./nursery.ts";

/** Bytes that may wait here before the stream is stopped. */
const WAITING = 128 * 1024;

/** Pulls from a readable stream; what nobody asked for soon stays in the stream, which stops its peer. */
export class StreamSource implements ByteSource {
  #stream: Readable;
  /** Taken as they come: asked for what it holds, a stream would copy it all into one piece. */
  #chunks: Buffer[] = [];
  #waiting = 0;
  #ended = false;
  #cancelled = false;
  #waiter: (() => void) | null = null;

  constructor(stream: Readable) {
    this.#stream = stream;
    const end = () => {
      this.#ended = true;
      this.#wake();
    };
    stream.on("data", (chunk: Buffer) => this.#take(chunk));
    stream.on("end", end);
    stream.on("close", end);
    stream.on("error", end);
  }

  async read(): Promise<Uint8Array | null> {
    while (!this.#cancelled) {
      if (this.#ended && this.#chunks.length === 0) this.#takeRest();
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#waiting -= chunk.length;
        if (this.#chunks.length === 0 && this.#stream.isPaused()) this.#stream.resume();
        return new Uint8Array(chunk.buffer as ArrayBuffer, chunk.byteOffset, chunk.byteLength);
      }
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#waiter = resolve);
    }
    return null;
  }

  /** Discards what is still to come, so that the peer is not held up by it. */
  cancel(): void {
    this.#cancelled = true;
    this.#chunks = [];
    this.#stream.resume();
    this.#wake();
  }

  /** What a stream still holds that closed while it was stopped: it hands out no more by itself. */
  #takeRest(): void {
    const rest: Buffer | null = this.#stream.read();
    if (rest !== null && this.#chunks.length === 0) this.#chunks.push(rest); // else it came as data, too
  }

  #take(chunk: Buffer): void {
    if (this.#cancelled || chunk.length === 0) return;
    outputCame(chunk.length);
    this.#chunks.push(chunk);
    this.#waiting += chunk.length;
    if (this.#waiting >= WAITING) this.#stream.pause();
    this.#wake();
  }

  #wake(): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.();
  }
}

/**
 * Writes to a stream. A write is complete when the stream took it and `socket`, the connection below it,
 * has handed its own queue to the system: so a caller that writes in turn keeps little in flight here.
 */
export class StreamSink implements ByteSink {
  #stream: Writable;
  #socket: Writable | null;
  #closed = false;
  #giveUp: (() => void) | null = null;

  constructor(stream: Writable, socket: Writable | null = null) {
    this.#stream = stream;
    this.#socket = socket;
    stream.on("close", () => this.abandon());
    stream.on("error", () => this.abandon());
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#closed) throw inputGone();
    if (bytes.length === 0) return;
    await this.#hand(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    const socket = this.#socket;
    if (socket !== null && socket.writableNeedDrain) {
      await this.#settle((done) => {
        const drained = () => done(null);
        socket.once("drain", drained);
        return () => socket.off("drain", drained);
      });
    }
  }

  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#stream.end();
    }
    return Promise.resolve();
  }

  /** The reader is known to be gone: a pending write fails, and so does every later one. */
  abandon(): void {
    this.#closed = true;
    this.#giveUp?.();
  }

  /** No function here may hold the bytes: kept by something that grew old, it keeps them too, till all is marked. */
  async #hand(buffer: Buffer): Promise<void> {
    let taken: ((error: Error | null) => void) | null = null;
    this.#stream.write(buffer, (error) => taken?.(error ?? null));
    // What the stream has passed on by now needs no wait; an error is told by its events.
    if (this.#stream.writableLength > 0) await this.#settle((done) => void (taken = done));
  }

  #settle(start: (done: (error: Error | null) => void) => void | (() => void)): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error: Error | null) => {
        this.#giveUp = null;
        cleanUp?.();
        if (error === null) resolve();
        else reject(inputGone(error));
      };
      this.#giveUp = () => done(new Error("the stream closed"));
      const cleanUp = start((error) => queueMicrotask(() => done(error)));
    });
  }
}

function inputGone(cause?: unknown): HoldfastError {
  return new HoldfastError("io", "Cannot write: the other end has closed its input", { cause });
}

/** A duplex stream as a {@linkcode Transport}; `stream` itself serves as ssh2's `sock`. */
export class StreamTransport implements Transport {
  readonly stream: Duplex;
  #source: StreamSource | null = null;
  #sink: StreamSink | null = null;

  constructor(stream: Duplex) {
    this.stream = stream;
  }

  read(): Promise<Uint8Array | null> {
    this.#source ??= new StreamSource(this.stream);
    return this.#source.read();
  }

  write(bytes: Uint8Array): Promise<void> {
    this.#sink ??= new StreamSink(this.stream);
    return this.#sink.write(bytes);
  }

  /** Nothing more is written; what still comes can be read. */
  end(): void {
    this.stream.end();
  }

  close(): void {
    this.#source?.cancel();
    this.stream.destroy();
  }
}

/** A transport as a duplex stream, for ssh2's `sock`. Its end is the stream's end. */
export function transportDuplex(transport: Transport): Duplex {
  let reading = false;
  const duplex: Duplex = new Duplex({
    read() {
      if (reading) return;
      reading = true;
      transport.read().then((bytes) => {
        reading = false;
        duplex.push(bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
      }, (error) => duplex.destroy(error));
    },
    write(chunk: Buffer, _encoding, done) {
      transport.write(chunk).then(() => done(), done);
    },
    writev(chunks, done) {
      transport.write(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer))).then(
        () => done(),
        done,
      );
    },
    final(done) {
      transport.close();
      done();
    },
    destroy(error, done) {
      transport.close();
      done(error);
    },
  });
  return duplex;
}

/**
 * A channel to run another ssh2 client over. It hands writes on only when the writer has finished: ssh2's
 * ChaCha20-Poly1305 keeps one state for all connections, so encrypting the outer packet in the middle of an inner one
 * destroys both. As a side effect a packet's pieces travel together.
 */
export function deferredDuplex(channel: Duplex): Duplex {
  const deferred = new Duplex({
    read() {
      channel.resume();
    },
    write(chunk: Buffer, _encoding, done) {
      queueMicrotask(() => channel.write(chunk, done));
    },
    writev(chunks, done) {
      const all = Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer));
      queueMicrotask(() => channel.write(all, done));
    },
    final(done) {
      channel.end();
      done();
    },
    destroy(error, done) {
      channel.destroy();
      done(error);
    },
  });
  channel.on("data", (chunk) => {
    if (!deferred.push(chunk)) channel.pause();
  });
  // What has come and is not read yet must not go with the channel.
  let ended = false;
  const end = () => {
    if (!ended) deferred.push(null);
    ended = true;
  };
  channel.on("end", end);
  channel.on("close", () => {
    end();
    if (deferred.readableEnded) deferred.destroy();
    else deferred.once("end", () => deferred.destroy());
  });
  channel.on("error", (error) => deferred.destroy(error));
  return deferred;
}
