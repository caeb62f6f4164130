/**
 * The messages between ssh and the process that holds its connection, as OpenSSH's PROTOCOL.mux has them: a length
 * u32, a type u32, and fields. Pure; for `mux_session.ts`.
 */
import { HoldfastError } from "../core/errors.ts";

export const PROTOCOL = 4;

const HELLO = 1;

/** What ssh asks. */
const ASKED = {
  0x10000002: "session",
  0x10000004: "alive",
  0x10000005: "terminate",
  0x10000006: "openForward",
  0x10000007: "closeForward",
  0x10000008: "stdio",
  0x10000009: "stopListening",
  0x1000000f: "proxy",
} as const;

/** What it is told. */
const TOLD = {
  ok: 0x80000001,
  denied: 0x80000002,
  failure: 0x80000003,
  exit: 0x80000004,
  alive: 0x80000005,
  opened: 0x80000006,
} as const;

/** Bytes of the longest message; a command line of the system is no longer. */
const LONGEST = 4 * 1024 * 1024;

export interface SessionWish {
  terminal: boolean;
  x11: boolean;
  agent: boolean;
  isSubsystem: boolean;
  /** Null: none. */
  escape: string | null;
  term: string;
  command: string;
  env: Record<string, string>;
}

export type MuxRequest =
  | { kind: "hello"; version: number }
  | ({ kind: "session"; id: number } & SessionWish)
  | { kind: "stdio"; id: number; host: string; port: number }
  | {
    kind: "alive" | "terminate" | "stopListening" | "openForward" | "closeForward" | "proxy";
    id: number;
  }
  | { kind: "unknown"; type: number; id: number };

/** Cuts what comes into messages; descriptors come between them, each with one byte of its own. */
export class MuxReader {
  #held: Uint8Array = new Uint8Array(0);

  /** Throws `limit` where more lies here than anybody sends. */
  add(bytes: Uint8Array): void {
    if (this.#held.length > 4 + LONGEST) throw new HoldfastError("limit", "too much at once");
    const all = new Uint8Array(this.#held.length + bytes.length);
    all.set(this.#held);
    all.set(bytes, this.#held.length);
    this.#held = all;
  }

  /** The next one; null until all of it is there. Throws `limit`, and `protocol` for what makes no sense. */
  next(): MuxRequest | null {
    if (this.#held.length < 4) return null;
    const size = view(this.#held).getUint32(0);
    if (size > LONGEST) throw new HoldfastError("limit", `a message of ${size} bytes`);
    if (this.#held.length < 4 + size) return null;
    const body = this.#held.subarray(4, 4 + size);
    this.#held = this.#held.subarray(4 + size);
    return decode(body);
  }

  /** Passes over the bytes that descriptors came with; false until they are there. */
  skip(count: number): boolean {
    if (this.#held.length < count) return false;
    this.#held = this.#held.subarray(count);
    return true;
  }
}

export function hello(): Uint8Array<ArrayBuffer> {
  return encode([HELLO, PROTOCOL]);
}

/** With the process that SIGWINCH goes to. */
export function alive(id: number, pid: number): Uint8Array<ArrayBuffer> {
  return encode([TOLD.alive, id, pid]);
}

export function opened(id: number, session: number): Uint8Array<ArrayBuffer> {
  return encode([TOLD.opened, id, session]);
}

export function exit(session: number, status: number): Uint8Array<ArrayBuffer> {
  return encode([TOLD.exit, session, status]);
}

export function ok(id: number): Uint8Array<ArrayBuffer> {
  return encode([TOLD.ok, id]);
}

export function failure(id: number, why: string): Uint8Array<ArrayBuffer> {
  return encode([TOLD.failure, id], why);
}

function encode(numbers: number[], text?: string): Uint8Array<ArrayBuffer> {
  const tail = text === undefined ? null : new TextEncoder().encode(text);
  const size = 4 * numbers.length + (tail ? 4 + tail.length : 0);
  const bytes = new Uint8Array(4 + size);
  const out = view(bytes);
  [size, ...numbers, ...tail ? [tail.length] : []].forEach((n, i) => out.setUint32(4 * i, n));
  if (tail) bytes.set(tail, bytes.length - tail.length);
  return bytes;
}

function decode(body: Uint8Array): MuxRequest {
  const fields = new Fields(body);
  const type = fields.number();
  if (type === HELLO) return { kind: "hello", version: fields.number() };
  const id = fields.number();
  const kind = ASKED[type as keyof typeof ASKED];
  if (kind === undefined) return { kind: "unknown", type, id };
  if (kind === "stdio") {
    fields.text(); // reserved
    return { kind, id, host: fields.text(), port: fields.number() };
  }
  if (kind !== "session") return { kind, id };
  fields.text(); // reserved
  const [terminal, x11, agent, isSubsystem] = [0, 0, 0, 0].map(() => fields.number() !== 0);
  const escape = fields.number();
  const [term, command] = [fields.text(), fields.text()];
  const env: Record<string, string> = {};
  while (!fields.atEnd) {
    const pair = fields.text();
    const at = pair.indexOf("=");
    if (at > 0) env[pair.slice(0, at)] = pair.slice(at + 1);
  }
  const char = escape > 0 && escape < 128 ? String.fromCharCode(escape) : null;
  return { kind, id, terminal, x11, agent, isSubsystem, escape: char, term, command, env };
}

class Fields {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  number(): number {
    if (this.#at + 4 > this.#bytes.length) throw new HoldfastError("protocol", "half a message");
    this.#at += 4;
    return view(this.#bytes).getUint32(this.#at - 4);
  }

  text(): string {
    const size = this.number();
    if (this.#at + size > this.#bytes.length) {
      throw new HoldfastError("protocol", "half a message");
    }
    this.#at += size;
    return new TextDecoder().decode(this.#bytes.subarray(this.#at - size, this.#at));
  }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
