/**
 * Arguments and results of called functions as bytes: JSON, and besides it Uint8Array, Date, Map, Set, bigint,
 * undefined, NaN, the infinities, -0 and errors, nested. Used at both ends of a call.
 *
 * A line of JSON, and behind it the bytes of all Uint8Arrays in their order. What JSON does not have stands as
 * `{"$": [TYPE, ...]}`; an object with a key `$` of its own as `{"$": ["object", [[KEY, VALUE], ...]]}`.
 */
import { HoldfastError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";

/** What stands for a value that only a call can carry (a stream, a signal): `[TYPE, NUMBER?]`. */
export type Special = [type: string, at?: number];

export interface EncodeOptions {
  /** What the value is called in errors: `result`, `argument 2`. */
  name?: string;
  /** For what is none of the above; null when it is nothing known either. */
  special?: (value: object) => Special | null;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Throws `usage`, with the path, for what cannot be represented (`result.items[3].cb is a function`), and `limit` when
 * it is larger than `LIMITS.value` or nests deeper than `LIMITS.valueDepth`.
 */
export function encodeValue(value: unknown, options: EncodeOptions = {}): Uint8Array {
  const { name = "value", special = () => null } = options;
  const blobs: Uint8Array[] = [];
  const above = new Set<object>();

  function encode(value: unknown, path: string): string {
    switch (typeof value) {
      case "string":
      case "boolean":
        return JSON.stringify(value);
      case "number":
        if (Number.isFinite(value) && !Object.is(value, -0)) return String(value);
        return tag("number", JSON.stringify(Object.is(value, -0) ? "-0" : String(value)));
      case "bigint":
        return tag("bigint", `"${value}"`);
      case "undefined":
        return tag("undefined");
      case "object":
        return value === null ? "null" : encodeObject(value, path);
      default:
        throw unfit(path, `is a ${typeof value}`);
    }
  }

  function encodeObject(value: object, path: string): string {
    if (above.has(value)) throw unfit(path, "refers back to something that it is part of");
    if (above.size >= LIMITS.valueDepth) {
      throw new HoldfastError("limit", `Cannot send ${name}: it nests deeper than ${above.size}`);
    }
    above.add(value);
    try {
      return compound(value, path);
    } finally {
      above.delete(value);
    }
  }

  function compound(value: object, path: string): string {
    const list = (values: Iterable<unknown>, path: string): string =>
      `[${Array.from(values, (each, i) => encode(each, `${path}[${i}]`)).join(",")}]`;
    if (Array.isArray(value)) return list(value, path);
    if (value instanceof Uint8Array) {
      blobs.push(value);
      return tag("bytes", String(value.length));
    }
    if (value instanceof Date) return tag("date", JSON.stringify(value.getTime()));
    if (value instanceof Set) return tag("set", list(value, path));
    if (value instanceof Map) {
      const entry = ([key, item]: [unknown, unknown], i: number): string =>
        `[${encode(key, `${path}.key ${i}`)},${encode(item, `${path}.get(${label(key)})`)}]`;
      return tag("map", `[${Array.from(value, entry).join(",")}]`);
    }
    if (value instanceof Error) return encodeError(value, path);
    const known = special(value);
    if (known) return tag(known[0], ...known.slice(1).map(String));
    const prototype = Object.getPrototypeOf(value);
    if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
      const made = prototype.constructor?.name;
      throw unfit(path, made ? `is of class ${made}` : "is an object with a prototype of its own");
    }
    const entries = Object.entries(value).map(([key, item]) =>
      [JSON.stringify(key), encode(item, `${path}${member(key)}`)] as const
    );
    if (Object.hasOwn(value, "$")) {
      return tag("object", `[${entries.map(([key, item]) => `[${key},${item}]`).join(",")}]`);
    }
    return `{${entries.map(([key, item]) => `${key}:${item}`).join(",")}}`;
  }

  /** An error must arrive whatever hangs on it: what cannot travel is left out. */
  function encodeError(error: Error, path: string): string {
    const { name, message, stack } = error;
    const fields: [string, unknown][] = [["cause", error.cause], ...Object.entries(error)];
    if (error instanceof AggregateError) fields.push(["errors", error.errors]);
    const extra: string[] = [];
    for (const [key, value] of fields) {
      if (value === undefined || key === "name" || key === "message" || key === "stack") continue;
      const before = blobs.length;
      try {
        extra.push(`[${JSON.stringify(key)},${encode(value, path)}]`);
      } catch {
        blobs.length = before;
      }
    }
    const words = [name, message, stack ?? ""].map((each) => JSON.stringify(String(each)));
    return tag("error", ...words, `[${extra.join(",")}]`);
  }

  function unfit(path: string, why: string): HoldfastError {
    return new HoldfastError("usage", `Cannot send ${name}: ${path} ${why}`);
  }

  const text = encoder.encode(encode(value, name) + "\n");
  const size = blobs.reduce((sum, { length }) => sum + length, text.length);
  if (size > LIMITS.value) {
    throw new HoldfastError(
      "limit",
      `Cannot send ${name}: it is ${size} bytes, over ${LIMITS.value}`,
    );
  }
  if (blobs.length === 0) return text;
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of [text, ...blobs]) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function tag(type: string, ...fields: string[]): string {
  return `{"$":[${[`"${type}"`, ...fields].join(",")}]}`;
}

function member(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

function label(key: unknown): string {
  return typeof key === "object" && key !== null ? "..." : String(JSON.stringify(String(key)));
}

export interface DecodeOptions {
  /** What a special stands for; undefined refuses it. */
  special?: (special: Special) => object | undefined;
}

/** Throws `protocol` for what `encodeValue` does not write, `limit` for what nests too deep. */
export function decodeValue(bytes: Uint8Array, options: DecodeOptions = {}): unknown {
  const { special = () => undefined } = options;
  const end = bytes.indexOf(0x0a);
  let at = end + 1;

  function decode(value: unknown, depth: number): unknown {
    if (typeof value !== "object" || value === null) return value;
    if (depth > LIMITS.valueDepth * 4) {
      throw new HoldfastError("limit", "Cannot read value: it nests too deep");
    }
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) value[i] = decode(value[i], depth + 1);
      return value;
    }
    const object = value as Record<string, unknown>;
    if (Array.isArray(object.$)) return revive(object.$ as [string, ...unknown[]], depth + 1);
    // Own properties of what JSON made: even __proto__ is one.
    for (const key of Object.keys(object)) object[key] = decode(object[key], depth + 1);
    return object;
  }

  function revive([type, field, ...more]: [string, ...unknown[]], depth: number): unknown {
    switch (type) {
      case "number":
        return Number(field);
      case "bigint":
        if (!/^-?\d{1,100000}$/.test(String(field))) throw broken();
        return BigInt(field as string);
      case "undefined":
        return undefined;
      case "date":
        return new Date(field as number ?? NaN);
      case "set":
        return new Set(decode(field, depth) as unknown[]);
      case "map":
        return new Map(decode(field, depth) as [unknown, unknown][]);
      case "object":
        return define({}, decode(field, depth) as [string, unknown][], true);
      case "error":
        return reviveError([field, ...more], depth);
      case "bytes": {
        const length = field as number;
        if (!Number.isInteger(length) || length < 0 || at + length > bytes.length) throw broken();
        return bytes.slice(at, at += length);
      }
    }
    const made = special([type, field as number | undefined]);
    if (!made) throw broken();
    return made;
  }

  function reviveError([name, message, stack, extra]: unknown[], depth: number): Error {
    const fields = decode(extra, depth) as [string, unknown][];
    const type = ERRORS.find((type) => type.name === name) ?? Error;
    const error = name === "AggregateError"
      ? new AggregateError([], String(message))
      : new type(String(message));
    define(error, fields, true);
    const hidden: [string, unknown][] = [["stack", String(stack)]];
    if (error.name !== name) hidden.push(["name", String(name)]);
    return define(error, hidden, false) as Error;
  }

  try {
    return decode(JSON.parse(decoder.decode(bytes.subarray(0, end))), 0);
  } catch (error) {
    if (error instanceof HoldfastError) throw error;
    throw broken(error);
  }
}

/** Classes that come back as themselves; any other error is an `Error` with its name. */
const ERRORS = [TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError];

function define(object: object, fields: [string, unknown][], enumerable: boolean): object {
  for (const [key, value] of fields) {
    const hidden = object instanceof Error && (key === "cause" || key === "errors");
    Object.defineProperty(object, String(key), {
      value,
      enumerable: enumerable && !hidden,
      writable: true,
      configurable: true,
    });
  }
  return object;
}

function broken(cause?: unknown): HoldfastError {
  return new HoldfastError("protocol", "Cannot read value: it is not one of ours", { cause });
}
