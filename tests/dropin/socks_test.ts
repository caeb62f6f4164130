/** SOCKS requests, however their bytes arrive. */
import { readSocksRequest } from "../../lib/dropin/socks.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";
import { test } from "../support/test.ts";

const text = (value: string) => [...new TextEncoder().encode(value)];

function read(bytes: number[], { piece }: { piece: number }) {
  const sent: number[][] = [];
  let at = 0;
  const client = {
    read() {
      const part = Uint8Array.from(bytes.slice(at, at += piece));
      return Promise.resolve(part.length > 0 ? part : null);
    },
    write(answer: Uint8Array) {
      sent.push([...answer]);
      return Promise.resolve();
    },
  };
  return readSocksRequest(client).then(({ host, port, rest, granted, refused }) => ({
    host,
    port,
    rest: new TextDecoder().decode(rest),
    answers: [granted[1], refused[1]],
    sent,
  }));
}

const REQUESTS: [
  name: string,
  bytes: number[],
  host: string,
  sent: number[][],
  answers: number[],
][] = [
  ["4", [4, 1, 0, 80, 10, 0, 0, 1, ...text("me"), 0], "10.0.0.1", [], [90, 91]],
  ["4a", [4, 1, 0, 80, 0, 0, 0, 1, 0, ...text("a.example"), 0], "a.example", [], [90, 91]],
  ["5, address", [5, 2, 1, 0, 5, 1, 0, 1, 10, 0, 0, 1, 0, 80], "10.0.0.1", [[5, 0]], [0, 5]],
  ["5, name", [5, 1, 0, 5, 1, 0, 3, 3, ...text("a.b"), 0, 80], "a.b", [[5, 0]], [0, 5]],
  [
    "5, IPv6",
    [5, 1, 0, 5, 1, 0, 4, ...Array(14).fill(0), 18, 52, 0, 80],
    "0:0:0:0:0:0:0:1234",
    [[5, 0]],
    [0, 5],
  ],
];

for (const [name, bytes, host, sent, answers] of REQUESTS) {
  test(`socks ${name}: is read from pieces of any size`, async () => {
    for (const piece of [1, 2, 3, 100]) {
      const all = await read([...bytes, ...text("GET")], { piece });
      assertEquals({ ...all, rest: "" }, { host, port: 80, rest: "", answers, sent });
    }
    assertEquals((await read([...bytes, ...text("GET")], { piece: 100 })).rest, "GET");
  });
}

test("socks: what is no request for a connection is refused", async () => {
  const wrong = [
    [],
    text("GET / HTTP/1.0\r\n"),
    [4, 2, 0, 80, 1, 2, 3, 4, 0],
    [4, 1, 0, 80, 1, 2, 3, 4, ...Array(300).fill(65), 0],
    [5, 1, 2],
    [5, 1, 0, 5, 2, 0, 1, 1, 2, 3, 4, 0, 80],
    [5, 1, 0, 5, 1, 0, 9, 0],
    [5, 1, 0, 5, 1, 0, 1, 10],
  ];
  for (const bytes of wrong) await assertRejects(() => read(bytes, { piece: 4 }), RangeError);
});
