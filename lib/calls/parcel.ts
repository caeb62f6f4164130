/**
 * A value with what it carries, between the two ends of a call: large ones over a stream, async iterables and
 * channels as streams of items, signals. Packed by one end and unpacked by the other, arguments and results alike.
 */
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import { decodeJson, encodeJson, type Json, type JsonObject } from "../core/json.ts";
import { LIMITS } from "../core/limits.ts";
import type { Router } from "../core/router.ts";
import { ReceiveStream, SendStream } from "../core/stream.ts";
import { decodeValue, encodeValue, type Special } from "./values.ts";

/** Where a function's events go: what a channel is at the other end. It ends with the call at the latest. */
export interface Sender<T = unknown> {
  /** Resolves when it is within the receiver's credit. Rejects when the receiver is gone. */
  send(item: T): Promise<void>;
  /** No more follows; idempotent. */
  close(): Promise<void>;
}

/** The end of a channel that is handed out. */
export interface ChannelEnd {
  /** Takes what a function sends, as long as the channel is open. */
  attach(items: AsyncIterable<unknown>): void;
}

/** Marks what can be handed to a function as the place for its events. */
export const CHANNEL: unique symbol = Symbol("channel");

/** What crosses the wire: `head`, a line of JSON, and behind it the value, unless a stream brings that. */
export interface Packed {
  payload: Uint8Array;
  /** To be called once the payload is sent: what streams bring comes after it. Resolves when that has ended. */
  start(): Promise<void>;
  /** Gives up what was packed. */
  drop(error: HoldfastError): void;
}

export interface PackOptions {
  peer: number;
  name: string;
  /** Called when the other end gives up an iterable. */
  onGivenUp?: () => void;
  /** Called with each signal that is packed. */
  onSignal?: (signal: AbortSignal) => void;
}

/** Above this many bytes a value goes as stream data, which lets others' calls pass. */
const INLINE = LIMITS.chunk;

/** Throws as `encodeValue` does. */
export function pack(
  router: Router,
  { head, value }: { head: JsonObject; value: unknown },
  { peer, name, onGivenUp = () => {}, onSignal }: PackOptions,
): Packed {
  /** Streams of items to the peer, and from it. */
  const out: { stream: SendStream; items: AsyncIterable<unknown> }[] = [];
  const back: ReceiveStream[] = [];
  const special = (value: object): Special | null => {
    if (CHANNEL in value) {
      const stream = ReceiveStream.open(router, peer);
      (value[CHANNEL] as ChannelEnd).attach(readItems(stream));
      return ["sender", back.push(stream) - 1];
    }
    if (Symbol.asyncIterator in value) {
      const stream = SendStream.open(router, peer);
      return ["items", out.push({ stream, items: value as AsyncIterable<unknown> }) - 1];
    }
    if (value instanceof AbortSignal && onSignal) {
      onSignal(value);
      return ["signal"];
    }
    return null;
  };
  const drop = (error: HoldfastError): void => {
    for (const { stream, items } of out) {
      stream.abort(error);
      void items[Symbol.asyncIterator]().return?.().catch(() => {});
    }
    for (const stream of back) stream.cancel(error);
  };
  let bytes: Uint8Array;
  try {
    bytes = encodeValue(value, { name, special });
  } catch (error) {
    drop(error as HoldfastError);
    throw error;
  }
  const whole = bytes.length > INLINE ? SendStream.open(router, peer) : null;
  const text = encodeJson({
    ...head,
    ...out.length > 0 ? { items: out.map(({ stream }) => stream.id) } : {},
    ...back.length > 0 ? { senders: back.map(({ id }) => id) } : {},
    ...whole ? { whole: whole.id } : {},
  });
  const payload = new Uint8Array(text.length + 1 + (whole ? 0 : bytes.length));
  payload.set(text);
  payload[text.length] = 0x0a;
  if (!whole) payload.set(bytes, text.length + 1);
  return {
    payload,
    async start() {
      const sent = out.map(({ stream, items }) => sendItems(stream, items, onGivenUp));
      if (whole) sent.push(whole.write(bytes).then(() => whole.close()).catch(() => {}));
      await Promise.all(sent);
    },
    drop(error) {
      whole?.abort(error);
      drop(error);
    },
  };
}

/** The head of what `pack` made, and the value behind it. */
export function openPacked(payload: Uint8Array): { head: JsonObject; body: Uint8Array } {
  const end = payload.indexOf(0x0a);
  return { head: decodeJson(payload.subarray(0, end)), body: payload.subarray(end + 1) };
}

export interface UnpackOptions {
  peer: number;
  /** What a packed signal becomes. */
  signal?: AbortSignal;
  /** Get what goes on after the value has come. */
  onItems?: (stream: ReceiveStream) => void;
  onSender?: (sender: Sender) => void;
}

/** To be called before the first await after the frame came: it accepts the streams. */
export async function unpack(
  router: Router,
  { head, body }: { head: JsonObject; body: Uint8Array },
  { peer, signal, onItems, onSender }: UnpackOptions,
): Promise<unknown> {
  const accepted: (ReceiveStream | SendStream)[] = [];
  const accept = <T extends ReceiveStream | SendStream>(
    ids: Json | undefined,
    type: { accept(router: Router, at: { peer: number; id: number }): T },
  ): T[] =>
    (Array.isArray(ids) ? ids : []).map((id) => {
      const stream = type.accept(router, { peer, id: id as number });
      accepted.push(stream);
      return stream;
    });
  try {
    const items = accept(head.items, ReceiveStream);
    const senders = accept(head.senders, SendStream).map(sender);
    const [whole] = accept(head.whole === undefined ? [] : [head.whole], ReceiveStream);
    for (const stream of items) onItems?.(stream);
    for (const each of senders) onSender?.(each);
    return decodeValue(whole ? await readWhole(whole) : body.slice(), {
      special([type, at]) {
        if (type === "items" && items[at!]) return readItems(items[at!]);
        if (type === "sender") return senders[at!];
        if (type === "signal") return signal;
      },
    });
  } catch (error) {
    const reason = toHoldfastError(error, "protocol");
    for (const stream of accepted) {
      if (stream instanceof SendStream) stream.abort(reason);
      else stream.cancel(reason);
    }
    throw error;
  }
}

async function readWhole(stream: ReceiveStream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read()) {
    if ((size += chunk.length) > LIMITS.value) {
      throw new HoldfastError("limit", `Cannot read value: it is over ${LIMITS.value} bytes`);
    }
    chunks.push(chunk);
  }
  return join(chunks, size);
}

function join(chunks: Uint8Array[], size: number): Uint8Array {
  if (chunks.length === 1) return chunks[0];
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

// Items: length u32 and a byte that says which, then an encoded value: an item, or what the iterable threw.

const ITEM = 0;
const THROWN = 1;

function record(type: number, value: unknown, name: string): Uint8Array {
  const bytes = encodeValue(value, { name });
  const framed = new Uint8Array(5 + bytes.length);
  new DataView(framed.buffer).setUint32(0, bytes.length);
  framed[4] = type;
  framed.set(bytes, 5);
  return framed;
}

/** Milliseconds that an iterable may keep a context busy without a pause. */
const TURN = 20;

/** Writes records to a stream: the first at once, those that come close behind it together. */
class Records {
  readonly #stream: SendStream;
  #waiting: Uint8Array[] = [];
  #size = 0;
  #flushing: Promise<void> | null = null;
  /** When other work of this context last had its turn. */
  #turn = 0;

  constructor(stream: SendStream) {
    this.#stream = stream;
  }

  /** Resolves when there is room for more. Rejects when the receiver is gone. */
  async add(record: Uint8Array): Promise<void> {
    this.#waiting.push(record);
    this.#size += record.length;
    if (!this.#flushing) {
      this.#turn = performance.now();
      this.#flushing = this.#flush();
      this.#flushing.catch(() => {});
    }
    if (this.#size > LIMITS.chunk || performance.now() - this.#turn > TURN) await this.#flushing;
  }

  async close(): Promise<void> {
    await this.#flushing;
    await this.#stream.close();
  }

  /** One that has failed stays, and is what every later record gets. */
  async #flush(): Promise<void> {
    while (this.#size > 0) {
      const bytes = join(this.#waiting, this.#size);
      this.#waiting = [];
      this.#size = 0;
      await this.#stream.write(bytes);
      await new Promise((resolve) => setTimeout(resolve));
      this.#turn = performance.now();
    }
    this.#flushing = null;
  }
}

/** Sends what it yields, and no further ahead than the credit; ends it when the receiver gives up. */
async function sendItems(
  stream: SendStream,
  items: AsyncIterable<unknown>,
  onGivenUp: () => void,
): Promise<void> {
  const records = new Records(stream);
  const iterator = items[Symbol.asyncIterator]();
  void stream.ended.then((reason) => {
    if (!reason) return;
    onGivenUp();
    void Promise.resolve(iterator.return?.()).catch(() => {});
  });
  let count = 0;
  try {
    for (;;) {
      const next = await iterator.next();
      if (next.done) break;
      await records.add(record(ITEM, next.value, `item ${count++}`));
    }
  } catch (error) {
    // Unless it is that the receiver is gone.
    await records.add(thrownRecord(error)).catch(() => {});
    void Promise.resolve(iterator.return?.()).catch(() => {});
  }
  await records.close().catch(() => {});
}

/** What cannot travel is told by the error that says so, which can. */
function thrownRecord(error: unknown): Uint8Array {
  try {
    return record(THROWN, error, "error");
  } catch (unfit) {
    return record(THROWN, unfit, "error");
  }
}

/** What the other end yields. Leaving it early, even before its first item, ends it there. */
function readItems(stream: ReceiveStream): AsyncIterableIterator<unknown> {
  const items = decodeItems(stream);
  return {
    next: () => items.next(),
    return() {
      stream.cancel();
      return items.return();
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

async function* decodeItems(stream: ReceiveStream): AsyncGenerator<unknown, void, void> {
  let rest: Uint8Array = new Uint8Array(0);
  /** The next `length` bytes; null when it ends before the first of them. */
  const take = async (length: number): Promise<Uint8Array | null> => {
    const chunks = [rest];
    let size = rest.length;
    while (size < length) {
      const chunk = await stream.read();
      if (chunk === null) {
        if (size === 0) return null;
        throw new HoldfastError("protocol", "Cannot read item: its stream ended within it");
      }
      chunks.push(chunk);
      size += chunk.length;
    }
    const all = join(chunks, size);
    rest = all.subarray(length);
    return all.subarray(0, length);
  };
  try {
    for (let head = await take(5); head; head = await take(5)) {
      const length = new DataView(head.buffer, head.byteOffset).getUint32(0);
      if (length > LIMITS.value) {
        throw new HoldfastError("limit", "Cannot read item: it is too large");
      }
      const type = head[4];
      const value = decodeValue(await take(length) ?? head);
      if (type === THROWN) throw value;
      yield value;
    }
  } finally {
    stream.cancel();
  }
}

function sender(stream: SendStream): Sender {
  const records = new Records(stream);
  let count = 0;
  return {
    send: async (item) => await records.add(record(ITEM, item, `event ${count++}`)),
    close: () => records.close(),
  };
}
