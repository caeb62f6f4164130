/** Values of calls as bytes: what comes back is what went in, and what cannot is refused with its path. */

import { HoldfastError } from "../../lib/core/errors.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { decodeValue, encodeValue } from "../../lib/calls/values.ts";
import { assert, assertEquals, assertInstanceOf, assertThrows } from "../support/assert.ts";
import { test } from "../support/test.ts";

const back = (value: unknown): unknown => decodeValue(encodeValue(value));

function refusal(action: () => unknown): HoldfastError {
  return assertThrows(action, HoldfastError);
}

const bytes = new Uint8Array([0, 10, 255, 0x7b]);

const plain: [string, unknown][] = [
  ["null", null],
  ["booleans", [true, false]],
  ["text with controls and lone surrogates", "\0\n\u2028\ud800 ü 🦕"],
  ["numbers", [0, -1, 1e21, 5e-324, Number.MAX_SAFE_INTEGER, 0.1]],
  ["numbers that JSON lacks", [NaN, Infinity, -Infinity]],
  ["undefined, alone", undefined],
  ["undefined in an object and an array", { a: undefined, b: [undefined] }],
  ["bigints", [0n, -1n, 2n ** 4096n]],
  ["dates, an invalid one too", [new Date(0), new Date(-1), new Date(NaN)]],
  ["empty bytes, and bytes like the format's own", [new Uint8Array(0), bytes, bytes]],
  ["sets, nested", new Set<unknown>([1, new Set(["a"]), undefined])],
  ["maps with keys of any kind", new Map<unknown, unknown>([[{ a: 1 }, bytes], [NaN, new Map()]])],
  ["keys that mean something elsewhere", { $: 1, then: 2, constructor: 3, toJSON: 4 }],
  ["an object that looks like the format's own", { $: ["bytes", 1e9], a: { $: [] } }],
  ["empty ones", [{}, [], "", { "": "" }]],
];

for (const [name, value] of plain) {
  test(`values: ${name}`, () => assertEquals(back(value), value));
}

test("values: -0 stays what it is", () => assert(Object.is(back(-0), -0)));

test("values: a key __proto__ is a key, not a prototype", () => {
  const sent = JSON.parse('{"__proto__": {"polluted": 1}, "a": {"__proto__": null}}');
  const value = back(sent) as Record<string, unknown>;
  assertEquals(Object.keys(value), ["__proto__", "a"]);
  assertEquals(Object.getPrototypeOf(value), Object.prototype);
  assertEquals(({} as Record<string, unknown>).polluted, undefined);
  const escaped = back(Object.assign(sent, { $: 1 })) as Record<string, unknown>;
  assertEquals(Object.getPrototypeOf(escaped), Object.prototype);
  assert(Object.hasOwn(escaped, "__proto__"));
});

test("values: bytes that come back are nobody else's", () => {
  const encoded = encodeValue([bytes]);
  const [value] = decodeValue(encoded) as Uint8Array[];
  encoded.fill(1);
  assertEquals(value, bytes);
  assertEquals(back(new Uint8Array(bytes.buffer, 1, 2)), bytes.slice(1, 3));
});

test("values: an error comes with class, stack, cause and fields", () => {
  class Mine extends TypeError {}
  const sent = Object.assign(new Mine("m", { cause: new RangeError("below") }), {
    code: "E1",
    detail: { at: 1n },
    cb() {},
  });
  sent.name = "Mine";
  const error = back(sent) as TypeError & Record<string, unknown>;
  assertEquals([error.constructor, error.name, error.message], [Error, "Mine", "m"]);
  assertEquals([error.stack, error.code, error.detail], [sent.stack, "E1", { at: 1n }]);
  assertEquals("cb" in error, false);
  assertInstanceOf(error.cause, RangeError);
  assertEquals(Object.keys(error).sort(), ["code", "detail"]);
  for (const type of [TypeError, RangeError, SyntaxError, ReferenceError, URIError, EvalError]) {
    assertEquals((back(new type("x")) as Error).constructor, type);
  }
  const many = back(new AggregateError([new Error("a"), 2], "n")) as AggregateError;
  assertEquals([many.name, (many.errors[0] as Error).message, many.errors[1]], [
    "AggregateError",
    "a",
    2,
  ]);
});

const unfit: [string, unknown, string][] = [
  ["a function", { items: [1, 2, 3, { cb() {} }] }, "result.items[3].cb is a function"],
  ["a symbol", [Symbol("s")], "result[0] is a symbol"],
  ["a class instance", { "a b": new URL("http://x") }, 'result["a b"] is of class URL'],
  ["another typed array", [new Float64Array(1)], "result[0] is of class Float64Array"],
  ["a promise", Promise.resolve(1), "result is of class Promise"],
  ["a map's value", new Map([["k", () => {}]]), 'result.get("k") is a function'],
  ["a map's key", new Map([[() => {}, 1]]), "result.key 0 is a function"],
  ["a set's member", new Set([1, WeakMap]), "result[1] is a function"],
  ["an object with a prototype", Object.create({ a: 1 }), "result is of class Object"],
];

for (const [name, value, why] of unfit) {
  test(`values: ${name} is refused with its path`, () => {
    const { kind, message } = refusal(() => encodeValue(value, { name: "result" }));
    assertEquals([kind, message], ["usage", `Cannot send result: ${why}`]);
  });
}

test("values: a circle is refused; what occurs twice is not", () => {
  const circle: Record<string, unknown> = { a: {} };
  (circle.a as Record<string, unknown>).b = [circle];
  assertEquals(
    refusal(() => encodeValue(circle)).message,
    "Cannot send value: value.a.b[0] refers back to something that it is part of",
  );
  const twice = { a: 1 };
  assertEquals(back([twice, twice]), [twice, twice]);
});

test("values: nesting has a bound, and up to it nests", () => {
  const wraps = [(value: unknown) => [value], (value: unknown) => new Map([[1, value]])];
  for (const wrap of wraps) {
    const nest = (depth: number): unknown => depth === 0 ? 1 : wrap(nest(depth - 1));
    assertEquals(back(nest(LIMITS.valueDepth)), nest(LIMITS.valueDepth));
    assertEquals(refusal(() => encodeValue(nest(LIMITS.valueDepth + 1))).kind, "limit");
  }
});

test("values: size has a bound", () => {
  const half = new Uint8Array(LIMITS.value / 2);
  assertEquals(refusal(() => encodeValue([half, half])).kind, "limit");
});

const hostile = [
  "",
  "\n",
  "{",
  "[1",
  '{"$":["bytes",1]}',
  '{"$":["bytes",-1]}',
  '{"$":["bytes",1.5]}',
  '{"$":["bigint","1e9"]}',
  '{"$":["bigint",{}]}',
  '{"$":["function","alert"]}',
  '{"$":["map",1]}',
  '{"$":["map",[1]]}',
  '{"$":["error"]}',
  '{"$":["object",{"a":1}]}',
  '{"$":[]}',
  '{"$":["items",0]}',
  '{"$":["__proto__"]}',
];

for (const text of hostile) {
  test(`values: ${JSON.stringify(text)} is none of ours`, () => {
    const encoded = new TextEncoder().encode(text.endsWith("\n") ? text : `${text}\n`);
    assertEquals(refusal(() => decodeValue(encoded)).kind, "protocol");
  });
}

test("values: what a peer nests too deep is refused, not overflown", () => {
  for (const depth of [LIMITS.valueDepth * 5, 1_000_000]) {
    const encoded = new TextEncoder().encode("[".repeat(depth) + "]".repeat(depth) + "\n");
    assert(["limit", "protocol"].includes(refusal(() => decodeValue(encoded)).kind));
  }
});
