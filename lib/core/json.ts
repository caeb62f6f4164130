/** JSON payloads, with bounds on what a peer may make us parse. */
import { HoldfastError } from "./errors.ts";
import { LIMITS } from "./limits.ts";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json | undefined };
export type JsonObject = { [key: string]: Json | undefined };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encodeJson(value: Json | undefined): Uint8Array {
  return encoder.encode(JSON.stringify(value ?? null));
}

/** Parses an object. Throws `protocol` when it is none, `limit` when it nests too deep. */
export function decodeJson(bytes: Uint8Array): JsonObject {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (quoted) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) quoted = false;
    } else if (byte === 0x22) quoted = true;
    else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > LIMITS.jsonDepth) {
        throw new HoldfastError("limit", "Cannot read message: its JSON nests too deep");
      }
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  try {
    const value = JSON.parse(decoder.decode(bytes));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Told below: what the parser says of a peer's bytes helps nobody.
  }
  throw new HoldfastError("protocol", "Cannot read message: its payload is not a JSON object");
}
