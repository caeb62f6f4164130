/** JSON payloads of a peer. */

import { HoldfastError } from "../../lib/core/errors.ts";
import { decodeJson, encodeJson, type JsonObject } from "../../lib/core/json.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { assert, assertEquals, assertThrows } from "../support/assert.ts";
import { test } from "../support/test.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function kindOf(payload: Uint8Array): string {
  return assertThrows(() => decodeJson(payload), HoldfastError).kind;
}

test("json: what is encoded is decoded", () => {
  const value: JsonObject = { a: [1, 'ü\u0000"\\', null, true], b: { c: {} }, d: -1.5e-7 };
  assertEquals(decodeJson(encodeJson(value)), value);
});

test("json: undefined members are left out, and undefined itself is null", () => {
  assertEquals(encodeJson({ a: undefined }), bytes("{}"));
  assertEquals(encodeJson(undefined), bytes("null"));
});

for (
  const text of [
    "",
    " ",
    "null",
    "1",
    '"a"',
    "[]",
    "{",
    "}",
    "{}{}",
    "{'a':1}",
    '{"a":}',
    "NaN",
    "\0",
  ]
) {
  test(`json: ${JSON.stringify(text)} is no object`, () => {
    assertEquals(kindOf(bytes(text)), "protocol");
  });
}

test("json: random bytes are refused and nothing else", () => {
  let state = 1;
  for (let round = 0; round < 2000; round++) {
    const payload = new Uint8Array(round % 64).map(() => {
      state = Math.imul(state, 1103515245) + 12345;
      return state >>> 16;
    });
    try {
      decodeJson(payload);
    } catch (error) {
      assert(error instanceof HoldfastError && ["protocol", "limit"].includes(error.kind));
    }
  }
});

const nested = (depth: number, open: string, close: string) =>
  bytes(`{"a":${open.repeat(depth - 1)}1${close.repeat(depth - 1)}}`);

test("json: nests as deep as the limit and no deeper", () => {
  for (const [open, close] of [["[", "]"], ['{"a":', "}"]]) {
    decodeJson(nested(LIMITS.jsonDepth, open, close));
    assertEquals(kindOf(nested(LIMITS.jsonDepth + 1, open, close)), "limit");
  }
});

test("json: half a million brackets are refused, not recursed into", () => {
  assertEquals(kindOf(bytes("[".repeat(500_000))), "limit");
  assertEquals(kindOf(bytes("]".repeat(1000) + "[".repeat(1000))), "protocol");
  assertEquals(kindOf(bytes('{"a":"' + "\\".repeat(99_999) + '",' + "[".repeat(33))), "protocol");
});

test("json: brackets inside strings do not count, also behind escapes", () => {
  const value = { a: "[".repeat(1000), b: '\\"' + "{".repeat(1000), "[[\\": "]" };
  assertEquals(decodeJson(encodeJson(value)), value);
});

test("json: brackets behind a string's end count", () => {
  assertEquals(kindOf(bytes('{"a\\\\":' + "[".repeat(40))), "limit");
  assertEquals(kindOf(bytes('{"\\"":' + "[".repeat(40))), "limit");
});

test("json: invalid UTF-8 becomes U+FFFD and hides no structure", () => {
  const payload = new Uint8Array([...bytes('{"a":"'), 0xc3, ...bytes('","b":1}')]);
  assertEquals(decodeJson(payload), { a: "\ufffd", b: 1 });
  const deep = new Uint8Array([
    ...bytes('{"a":"'),
    0xf0,
    0x9f,
    ...bytes('",'),
    ...bytes("[".repeat(40)),
  ]);
  assertEquals(kindOf(deep), "limit");
});

test("json: of duplicate keys the last one counts", () => {
  assertEquals(decodeJson(bytes('{"a":1,"a":2}')), { a: 2 });
});

test("json: __proto__ is a key like any other", () => {
  const value = decodeJson(
    bytes('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'),
  );
  assertEquals(Object.keys(value), ["__proto__", "constructor"]);
  assertEquals(Object.getPrototypeOf(value), Object.prototype);
  assertEquals((value as { polluted?: unknown }).polluted, undefined);
  assertEquals(({} as { polluted?: unknown }).polluted, undefined);
});
