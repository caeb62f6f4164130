/**
 * One-way byte streams between two contexts, with credit. One context opens a stream under a handle of its
 * own and names that handle in a call; the other accepts it under the mirrored handle. Data frames flow one
 * way, credit the other; an empty data frame is the end; a dead message from either side aborts.
 */
import { IS_DATA, MIRROR } from "./constants.ts";
import { HoldfastError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import type { ByteSink, ByteSource } from "./host.ts";
import { decodeJson } from "./json.ts";
import { LIMITS } from "./limits.ts";
import type { Router } from "./router.ts";

/** Where a stream's frames go and how its own handle is given back. */
interface End {
  router: Router;
  peer: number;
  /** The peer's handle for this stream. */
  handle: number;
  release(): void;
}

function openEnd(router: Router, peer: number, handler: Receiver): { id: number; end: End } {
  const id = router.addHandler({ from: peer, ...handler });
  return {
    id,
    end: { router, peer, handle: id + MIRROR, release: () => router.removeHandler(id) },
  };
}

function acceptEnd(router: Router, at: { peer: number; id: number }, handler: Receiver): End {
  router.addMirror(at.peer, at.id, { from: at.peer, ...handler });
  return {
    router,
    peer: at.peer,
    handle: at.id,
    release: () => router.removeMirror(at.peer, at.id),
  };
}

interface Receiver {
  onFrame(frame: Frame): void;
  onDead(error: HoldfastError): void;
}

/**
 * The sending end.
 *
 * - `write` resolves when the bytes are within the receiver's credit, so a stalled reader stops the writer.
 * - After the receiver cancelled, or its context went away, `write` rejects with the reason.
 */
export class SendStream implements ByteSink {
  /** The handle to name in a call; meaningful at the opener. */
  readonly id: number;
  /** Resolves with the reason when the receiver gave up, null when we closed; never rejects. */
  readonly ended: Promise<HoldfastError | null>;
  readonly #end: End;
  #credit: number = LIMITS.window;
  #error: HoldfastError | null = null;
  #closed = false;
  #wake: (() => void) | null = null;
  #onEnded: (error: HoldfastError | null) => void = () => {};

  private constructor(attach: (handler: Receiver) => { id: number; end: End }) {
    this.ended = new Promise((resolve) => this.#onEnded = resolve);
    const { id, end } = attach({
      onFrame: (frame) => {
        const { credit } = decodeJson(frame.payload);
        if (!Number.isInteger(credit) || (credit as number) < 1) return;
        this.#credit = Math.min(this.#credit + (credit as number), LIMITS.maxWindow);
        this.#wake?.();
      },
      onDead: (error) => this.#finish(error),
    });
    this.id = id;
    this.#end = end;
  }

  static open(router: Router, peer: number): SendStream {
    return new SendStream((handler) => openEnd(router, peer, handler));
  }

  static accept(router: Router, at: { peer: number; id: number }): SendStream {
    return new SendStream((handler) => ({ id: at.id, end: acceptEnd(router, at, handler) }));
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      while (this.#credit === 0 && !this.#closed) {
        const { router, peer, handle } = this.#end;
        router.send({ dst: peer, handle, replyTo: 0 });
        await new Promise<void>((resolve) => this.#wake = resolve);
        this.#wake = null;
      }
      if (this.#error) throw this.#error;
      if (this.#closed) throw new HoldfastError("cancelled", "Cannot write stream: it is closed");
      const size = Math.min(bytes.length - at, this.#credit, LIMITS.chunk);
      this.#credit -= size;
      this.#send(bytes.subarray(at, at + size));
      at += size;
    }
  }

  // deno-lint-ignore require-await
  async close(): Promise<void> {
    if (this.#closed || this.#error) return;
    this.#send();
    this.#finish(null);
  }

  /** Tells the receiver that the stream broke and why. */
  abort(error: HoldfastError): void {
    if (this.#closed || this.#error) return;
    this.#end.router.sendDead(this.#end.peer, this.#end.handle, error);
    this.#finish(error);
  }

  #send(bytes?: Uint8Array): void {
    const { router, peer, handle } = this.#end;
    router.send({ dst: peer, handle, replyTo: IS_DATA }, bytes);
  }

  #finish(error: HoldfastError | null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#error = error;
    this.#end.release();
    this.#onEnded(error);
    this.#wake?.();
  }
}

/**
 * The receiving end.
 *
 * - Bounded: holds at most its window; a sender that overruns it is cut off.
 * - The window doubles while the reader keeps up and the sender still runs out of credit.
 */
export class ReceiveStream implements ByteSource {
  /** The handle to name in a call; meaningful at the opener. */
  readonly id: number;
  readonly #end: End;
  #chunks: Uint8Array[] = [];
  #window: number = LIMITS.window;
  /** Bytes the sender may still send. */
  #granted: number = LIMITS.window;
  /** Bytes read since the last grant. */
  #consumed = 0;
  /** The sender has run out of credit since the window last grew. */
  #starved = false;
  #finished = false;
  #error: HoldfastError | null = null;
  #wake: (() => void) | null = null;

  private constructor(attach: (handler: Receiver) => { id: number; end: End }) {
    const { id, end } = attach({
      onFrame: (frame) => this.#take(frame),
      onDead: (error) => this.#finish(error),
    });
    this.id = id;
    this.#end = end;
  }

  static open(router: Router, peer: number): ReceiveStream {
    return new ReceiveStream((handler) => openEnd(router, peer, handler));
  }

  static accept(router: Router, at: { peer: number; id: number }): ReceiveStream {
    return new ReceiveStream((handler) => ({ id: at.id, end: acceptEnd(router, at, handler) }));
  }

  /** The next bytes or null at the end. Rejects with the reason when the sender aborted or went away. */
  async read(): Promise<Uint8Array | null> {
    while (this.#chunks.length === 0) {
      if (this.#error) throw this.#error;
      if (this.#finished) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
      this.#wake = null;
    }
    const chunk = this.#chunks.shift()!;
    this.#consumed += chunk.length;
    if (!this.#finished) this.#grant();
    return chunk;
  }

  /** Gives up: the sender is told to stop and what waits here is dropped. */
  cancel(reason: HoldfastError = new HoldfastError("cancelled", "the reader gave up")): void {
    this.#chunks = [];
    if (this.#finished) return;
    this.#end.router.sendDead(this.#end.peer, this.#end.handle, reason);
    this.#finish(null);
  }

  /** Ends it from this side without a word to the sender: what was received can still be read. */
  fail(error: HoldfastError): void {
    this.#finish(error);
  }

  #take(frame: Frame): void {
    if (frame.replyTo !== IS_DATA) {
      this.#starved = true;
      return;
    }
    const { length } = frame.payload;
    if (length === 0) return this.#finish(null);
    if (length > this.#granted) {
      const error = new HoldfastError(
        "limit",
        "Cannot receive stream: its sender overran its credit",
      );
      this.cancel(error);
      this.#error = error;
      return;
    }
    this.#granted -= length;
    this.#chunks.push(frame.payload);
    this.#wake?.();
  }

  #grant(): void {
    if (this.#consumed < this.#window / 4) return;
    // All that came is read: the window is what holds the sender back.
    if (this.#starved && this.#chunks.length === 0 && this.#window < LIMITS.maxWindow) {
      this.#consumed += this.#window;
      this.#window *= 2;
      this.#starved = false;
    }
    const { router, peer, handle } = this.#end;
    this.#granted += this.#consumed;
    router.sendJson({ dst: peer, handle, replyTo: 0 }, { credit: this.#consumed });
    this.#consumed = 0;
  }

  #finish(error: HoldfastError | null): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#error = error;
    this.#end.release();
    this.#wake?.();
  }
}

/** Copies a source to a sink until its end and closes the sink; resolves with the number of bytes. */
export async function pump(source: ByteSource, sink: ByteSink): Promise<number> {
  let total = 0;
  for (let chunk = await source.read(); chunk !== null; chunk = await source.read()) {
    total += chunk.length;
    await sink.write(chunk);
  }
  await sink.close();
  return total;
}
