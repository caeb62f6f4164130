/**
 * The first bytes of a link in each direction: magic, protocol version, core hash and a JSON object.
 * Whatever stands before the magic is noise (banner, motd, profile output) and is kept for messages only.
 */
import { GREETING_HEADER_SIZE, GREETING_MAGIC, PROTOCOL_VERSION } from "./constants.ts";
import { HoldfastError } from "./errors.ts";
import type { Transport } from "./host.ts";
import { decodeJson, encodeJson, type JsonObject } from "./json.ts";
import { LIMITS } from "./limits.ts";

export interface Greeting {
  version: number;
  /** sha256 of the core as hex; zeros where no core was sent. */
  coreHash: string;
  body: JsonObject;
}

const NO_HASH = "0".repeat(64);
/** Bytes of noise kept for messages. */
const KEPT_NOISE = 4096;

export function encodeGreeting(body: JsonObject, coreHash: string = NO_HASH): Uint8Array {
  const json = encodeJson(body);
  const bytes = new Uint8Array(GREETING_HEADER_SIZE + json.length);
  const view = new DataView(bytes.buffer);
  bytes.set(GREETING_MAGIC);
  view.setUint16(8, PROTOCOL_VERSION);
  for (let i = 0; i < 32; i++) bytes[10 + i] = parseInt(coreHash.slice(2 * i, 2 * i + 2), 16);
  view.setUint32(42, json.length);
  bytes.set(json, GREETING_HEADER_SIZE);
  return bytes;
}

/** What {@linkcode readGreeting} found. */
export interface GreetingRead {
  greeting: Greeting;
  /** Bytes after the greeting that were read with it. */
  rest: Uint8Array;
}

/** Ended before a greeting came; `noise` is what came instead. */
export class NoGreeting extends HoldfastError {
  readonly noise: string;

  constructor(kind: "bootstrap" | "protocol", message: string, noise: string) {
    super(kind, message);
    this.noise = noise;
  }
}

/**
 * Reads up to and including the peer's greeting. Throws {@linkcode NoGreeting} when the transport ends
 * first or sends more than `LIMITS.noise` bytes without one, `limit` when it is oversized.
 */
export async function readGreeting(transport: Transport): Promise<GreetingRead> {
  let bytes: Uint8Array = new Uint8Array(0);
  let start = -1;
  let noise = 0;
  for (;;) {
    const chunk = await transport.read();
    if (chunk === null) {
      throw new NoGreeting("bootstrap", "it ended before its greeting", text(bytes));
    }
    // Of noise only the end is kept: it may come byte by byte.
    bytes = concat(start < 0 ? bytes.slice(-KEPT_NOISE) : bytes, chunk);
    if (start < 0) start = find(bytes, GREETING_MAGIC);
    if (start < 0) {
      if ((noise += chunk.length) <= LIMITS.noise) continue;
      throw new NoGreeting("protocol", "it sent no greeting but other output", text(bytes));
    }
    if (bytes.length < start + GREETING_HEADER_SIZE) continue;
    const view = new DataView(bytes.buffer, bytes.byteOffset + start);
    const length = view.getUint32(42);
    if (length > LIMITS.greeting) {
      throw new HoldfastError("limit", "Cannot read greeting: it is over the limit");
    }
    const end = start + GREETING_HEADER_SIZE + length;
    if (bytes.length < end) continue;
    const hash = bytes.subarray(start + 10, start + 42);
    return {
      greeting: {
        version: view.getUint16(8),
        coreHash: hex(hash),
        body: decodeJson(bytes.subarray(start + GREETING_HEADER_SIZE, end)),
      },
      rest: bytes.slice(end),
    };
  }
}

/** Throws `version` when the peer speaks another protocol than we do. */
export function checkVersion(greeting: Greeting): void {
  if (greeting.version !== PROTOCOL_VERSION) {
    throw new HoldfastError(
      "version",
      `Cannot speak to the peer: its protocol version is ${greeting.version}, ours ${PROTOCOL_VERSION}`,
    );
  }
}

export function hex(bytes: Uint8Array): string {
  let out = "";
  for (const byte of bytes) out += byte.toString(16).padStart(2, "0");
  return out;
}

export function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

function find(bytes: Uint8Array, wanted: Uint8Array): number {
  let at = -1;
  while ((at = bytes.indexOf(wanted[0], at + 1)) >= 0) {
    let i = 1;
    while (i < wanted.length && bytes[at + i] === wanted[i]) i++;
    if (i === wanted.length) return at;
  }
  return -1;
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(-KEPT_NOISE)).trim();
}
