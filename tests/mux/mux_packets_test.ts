/** ssh's messages to who holds its connection: the exact bytes of OpenSSH's PROTOCOL.mux, and what is none. */
import { HoldfastError } from "../../lib/core/errors.ts";
import {
  alive,
  exit,
  failure,
  hello,
  MuxReader,
  type MuxRequest,
  ok,
  opened,
} from "../../lib/mux/mux_packets.ts";
import { assertEquals, assertInstanceOf, assertThrows } from "../support/assert.ts";
import { test } from "../support/test.ts";

/** Numbers as u32, texts with their length, in a message with its own. */
function message(...fields: (number | string)[]): Uint8Array {
  const parts = fields.flatMap((field) => {
    if (typeof field === "number") return [u32(field)];
    const text = new TextEncoder().encode(field);
    return [u32(text.length), text];
  });
  return join([u32(parts.reduce((sum, { length }) => sum + length, 0)), ...parts]);
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function join(parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function read(...bytes: Uint8Array[]): MuxRequest[] {
  const reader = new MuxReader();
  for (const some of bytes) reader.add(some);
  const found: MuxRequest[] = [];
  for (let next = reader.next(); next !== null; next = reader.next()) found.push(next);
  return found;
}

function refusal(bytes: Uint8Array): string {
  const error = assertThrows(() => read(bytes)) as HoldfastError;
  assertInstanceOf(error, HoldfastError);
  return error.kind;
}

const SESSION = message(
  0x10000002,
  7,
  "",
  1,
  0,
  1,
  0,
  0x7e,
  "xterm",
  "echo hi",
  "LANG=C",
  "X=a=b",
);

test("mux packets: what ssh is told, byte for byte", () => {
  const hex = (bytes: Uint8Array) => bytes.toHex();
  assertEquals(hex(hello()), "00000008" + "00000001" + "00000004");
  assertEquals(hex(alive(2, 300)), "0000000c" + "80000005" + "00000002" + "0000012c");
  assertEquals(hex(opened(3, 1)), "0000000c" + "80000006" + "00000003" + "00000001");
  assertEquals(hex(exit(1, 255)), "0000000c" + "80000004" + "00000001" + "000000ff");
  assertEquals(hex(ok(9)), "00000008" + "80000001" + "00000009");
  assertEquals(hex(failure(4, "nö")), "0000000f" + "80000003" + "00000004" + "00000003" + "6ec3b6");
});

test("mux packets: what ssh asks, field for field", () => {
  assertEquals(read(message(1, 4)), [{ kind: "hello", version: 4 }]);
  assertEquals(read(SESSION), [{
    kind: "session",
    id: 7,
    terminal: true,
    x11: false,
    agent: true,
    isSubsystem: false,
    escape: "~",
    term: "xterm",
    command: "echo hi",
    env: { LANG: "C", X: "a=b" },
  }]);
  assertEquals(read(message(0x10000008, 5, "", "h", 22)), [
    { kind: "stdio", id: 5, host: "h", port: 22 },
  ]);
  const kinds: [number, string][] = [
    [0x10000004, "alive"],
    [0x10000005, "terminate"],
    [0x10000006, "openForward"],
    [0x10000007, "closeForward"],
    [0x10000009, "stopListening"],
    [0x1000000f, "proxy"],
  ];
  for (const [type, kind] of kinds) {
    assertEquals(read(message(type, 6)), [{ kind, id: 6 } as MuxRequest]);
  }
  assertEquals(read(message(0x10000099, 8)), [{ kind: "unknown", type: 0x10000099, id: 8 }]);
});

test("mux packets: no escape character, and variables that are none", () => {
  for (const none of [0xffffffff, 0, 200]) {
    const [request] = read(message(0x10000002, 1, "", 0, 0, 0, 1, none, "", "sftp", "=x", "y"));
    assertEquals(
      request.kind === "session" && [request.escape, request.isSubsystem, request.env],
      [null, true, {}],
    );
  }
});

test("mux packets: messages in any pieces are the same messages", () => {
  const all = join([message(1, 4), SESSION, message(0x10000004, 3)]);
  const whole = read(all);
  assertEquals(whole.map(({ kind }) => kind), ["hello", "session", "alive"]);
  assertEquals(read(...[...all].map((byte) => Uint8Array.of(byte))), whole);
  for (let at = 0; at <= all.length; at++) {
    assertEquals(read(all.subarray(0, at), all.subarray(at)), whole);
  }
});

test("mux packets: half a message is waited for", () => {
  for (let size = 0; size < SESSION.length; size++) {
    assertEquals(read(SESSION.subarray(0, size)), []);
  }
});

test("mux packets: bytes that descriptors came with are passed over, once they are there", () => {
  const reader = new MuxReader();
  reader.add(Uint8Array.of(0, 0));
  assertEquals(reader.skip(3), false);
  reader.add(join([Uint8Array.of(0), message(0x10000004, 3)]));
  assertEquals(reader.skip(3), true);
  assertEquals(reader.next(), { kind: "alive", id: 3 });
});

test("mux packets: what is longer than any message is refused", () => {
  assertEquals(refusal(u32(4 * 1024 * 1024 + 1)), "limit");
  assertEquals(refusal(new TextEncoder().encode("GET / HTTP/1.1\r\n")), "limit");
  const reader = new MuxReader();
  // While descriptors are waited for, nobody cuts messages.
  const error = assertThrows(() => {
    for (let count = 0; count < 70; count++) reader.add(new Uint8Array(64 * 1024));
  });
  assertEquals((error as HoldfastError).kind, "limit");
});

test("mux packets: a message that ends in a field is refused", () => {
  const body = SESSION.subarray(4);
  const atPairs = [body.length - 9, body.length - 19]; // where an environment may end
  for (let size = 0; size < body.length; size++) {
    if (atPairs.includes(size)) continue;
    assertEquals(refusal(join([u32(size), body.subarray(0, size)])), "protocol", String(size));
  }
  for (const size of atPairs) read(join([u32(size), body.subarray(0, size)]));
  // A text that says it is longer than all.
  assertEquals(refusal(message(0x10000008, 5, 0xffffffff)), "protocol");
});
