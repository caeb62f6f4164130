/** The byte pipe between two neighbours: reads frames from a transport and schedules those that go out. */
import { IS_DATA } from "./constants.ts";
import { Decoder } from "./decoder.ts";
import { HoldfastError, toHoldfastError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import type { Transport } from "./host.ts";
import { LIMITS } from "./limits.ts";

/** Bytes handed to the transport at once: what a control frame may have to wait for, the more the faster it is. */
const MIN_BATCH = 64 * 1024;
const MAX_BATCH = 4 * MIN_BATCH;
/** Milliseconds in which a transport has to take a batch, for a larger one to follow. */
const QUICK = 2;

export interface LinkEvents {
  onFrame(frame: Frame, link: Link): void;
  /** Called once; `error` is null when the peer ended the link at a frame boundary or we closed it. */
  onClose(error: HoldfastError | null, link: Link): void;
}

export interface LinkOptions {
  privileged?: boolean;
  now?: () => number;
}

/** Frames of one stream that wait for the transport. */
interface BulkQueue {
  frames: Uint8Array[];
  bytes: number;
}

/**
 * One link.
 *
 * - FIFO: frames of one stream, and all frames that are not stream data, leave in the order they were sent.
 * - Control first: stream data waits for everything else; streams take turns, one chunk each.
 * - Bounded: the transport holds one batch; a queue over its limit refuses (`send` returns false).
 */
export class Link {
  /** The neighbour's context id. */
  readonly peer: number;
  /** The neighbour acts with our authority (an authenticated client of the daemon). */
  readonly privileged: boolean;
  /** Contexts whose messages went out over this link: they may be answered, and their end is told. */
  readonly introduced: Set<number> = new Set();
  /** When bytes last arrived, from `performance.now()`. */
  heardAt: number = performance.now();
  /** Bytes read and written since the link began. */
  readonly traffic: { received: number; sent: number } = { received: 0, sent: 0 };

  /** The neighbour was ordered from here to outlive this link. */
  mayDetach = false;
  /** It does, as it was ordered: it is not to be ended with this link. */
  detached = false;
  /** Frames of this link that were dropped as wrong. */
  dropped = 0;

  readonly #transport: Transport;
  readonly #now: () => number;
  #control: Frame[] = [];
  /** Bytes in `#control` by authority: one that floods cannot use up the room of the others. */
  readonly #controlBytes: Map<number, number> = new Map();
  readonly #bulk: Map<string, BulkQueue> = new Map();
  #bulkBytes = 0;
  #batch = MIN_BATCH;
  #pumping = false;
  #closed = false;
  #events: LinkEvents | null = null;
  #written: Promise<void> = Promise.resolve();

  /** `now`: milliseconds of any clock. */
  constructor(peer: number, transport: Transport, options: LinkOptions = {}) {
    this.peer = peer;
    this.#now = options.now ?? (() => performance.now());
    this.privileged = options.privileged ?? false;
    this.#transport = transport;
  }

  /** Bytes that wait for the transport. */
  get queued(): number {
    let total = this.#bulkBytes;
    for (const bytes of this.#controlBytes.values()) total += bytes;
    return total;
  }

  /** Reads frames until the link ends. `rest` is what was read of the peer's first frames with its greeting. */
  async run(events: LinkEvents, rest?: Uint8Array): Promise<void> {
    if (this.#closed) return events.onClose(null, this);
    this.#events = events;
    const decoder = new Decoder((frame) => events.onFrame(frame, this));
    try {
      let chunk = rest?.length ? rest : await this.#transport.read();
      for (; chunk !== null && !this.#closed; chunk = await this.#transport.read()) {
        this.heardAt = performance.now();
        this.traffic.received += chunk.length;
        decoder.push(chunk);
      }
      if (decoder.pending > 0 && !this.#closed) {
        throw new HoldfastError("disconnected", "the link ended inside a frame");
      }
      this.close(null);
    } catch (error) {
      this.close(toHoldfastError(error, "disconnected"));
    }
  }

  /**
   * Queues a frame. False when its queue is full or the link is closed: the frame is not taken. `trusted`: it
   * comes from above or from a privileged link, whose streams keep to their credit.
   */
  send(frame: Frame, trusted = true): boolean {
    if (this.#closed) return false;
    const { auth, bytes } = frame;
    if (frame.replyTo === IS_DATA) {
      if (!trusted && this.#bulkBytes > LIMITS.queuedBulk) return false;
      const key = `${frame.src},${frame.dst},${frame.handle}`;
      let queue = this.#bulk.get(key);
      if (!queue) this.#bulk.set(key, queue = { frames: [], bytes: 0 });
      if (queue.bytes > 2 * LIMITS.maxWindow) return false;
      queue.frames.push(bytes);
      queue.bytes += bytes.length;
      this.#bulkBytes += bytes.length;
    } else {
      const waiting = this.#controlBytes.get(auth) ?? 0;
      if (waiting > LIMITS.queuedControl) return false;
      this.#control.push(frame);
      this.#controlBytes.set(auth, waiting + bytes.length);
    }
    if (!this.#pumping) {
      this.#pumping = true;
      queueMicrotask(() => this.#pump());
    }
    return true;
  }

  /** Ends the link and its transport; frames still queued are lost. Idempotent. */
  close(error: HoldfastError | null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#control = [];
    this.#controlBytes.clear();
    this.#bulk.clear();
    this.#bulkBytes = 0;
    this.#transport.close();
    this.#events?.onClose(error, this);
  }

  /** Resolves when everything queued has been handed to the transport, or is lost with the link. */
  async flush(): Promise<void> {
    while (this.#pumping && !this.#closed) await this.#written.catch(() => {});
  }

  async #pump(): Promise<void> {
    try {
      for (let batch = this.#nextBatch(); batch && !this.#closed; batch = this.#nextBatch()) {
        this.traffic.sent += batch.length;
        const start = this.#now();
        await (this.#written = this.#transport.write(batch));
        const quick = this.#now() - start < QUICK;
        this.#batch = quick ? Math.min(this.#batch * 2, MAX_BATCH) : MIN_BATCH;
      }
    } catch (error) {
      this.close(toHoldfastError(error, "disconnected"));
    } finally {
      this.#pumping = false;
    }
  }

  /** The next bytes for the transport: all control that fits, then a chunk of each stream in turn. */
  #nextBatch(): Uint8Array | null {
    const frames: Uint8Array[] = [];
    let size = 0;
    let taken = 0;
    while (taken < this.#control.length && size < this.#batch) {
      const { auth, bytes } = this.#control[taken++];
      size += bytes.length;
      frames.push(bytes);
      const left = this.#controlBytes.get(auth)! - bytes.length;
      if (left > 0) this.#controlBytes.set(auth, left);
      else this.#controlBytes.delete(auth);
    }
    this.#control.splice(0, taken);
    while (size < this.#batch && this.#bulk.size > 0) {
      const [key, queue] = this.#bulk.entries().next().value!;
      const frame = queue.frames.shift()!;
      queue.bytes -= frame.length;
      this.#bulkBytes -= frame.length;
      this.#bulk.delete(key);
      if (queue.frames.length > 0) this.#bulk.set(key, queue);
      size += frame.length;
      frames.push(frame);
    }
    if (frames.length < 2) return frames[0] ?? null;
    const batch = new Uint8Array(size);
    let at = 0;
    for (const frame of frames) {
      batch.set(frame, at);
      at += frame.length;
    }
    return batch;
  }
}
