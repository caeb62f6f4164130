import { assert, assertEquals } from "./assert.ts";
import { startDelayProxy } from "./delay_proxy.ts";
import { test } from "./test.ts";

/** A server that sends back what it gets, and the end after the end. */
function startEcho() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served = (async () => {
    for await (const connection of listener) {
      connection.readable.pipeTo(connection.writable).catch(() => {});
    }
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await served;
    },
  };
}

function counted(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer);
  for (let index = 0; index < words.length; index++) words[index] = index;
  return bytes;
}

async function hash(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

async function readSome(connection: Deno.TcpConn, length: number): Promise<string> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const size = await connection.read(bytes.subarray(at));
    if (size === null) break;
    at += size;
  }
  return new TextDecoder().decode(bytes);
}

for (const capacity of [64 << 20, 300_000]) {
  test(`delay proxy: keeps order, content and end of 24 MiB, capacity ${capacity}`, async () => {
    await using echo = startEcho();
    await using proxy = startDelayProxy({ port: echo.port, delay: 3, capacity });
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: proxy.port });
    const sent = counted(24 << 20);
    const send = async () => {
      await new Blob([sent]).stream().pipeTo(connection.writable, { preventClose: true });
      await connection.closeWrite();
    };
    const [received] = await Promise.all([new Response(connection.readable).bytes(), send()]);
    assertEquals(received.length, sent.length);
    assertEquals(await hash(received), await hash(sent));
    assertEquals([proxy.bytesToServer, proxy.bytesToClient], [sent.length, sent.length]);
  });
}

test("delay proxy: no byte returns before its round trip", async () => {
  await using echo = startEcho();
  await using proxy = startDelayProxy({ port: echo.port, delay: 15 });
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: proxy.port });
  for (let round = 0; round < 3; round++) {
    const start = performance.now();
    await connection.write(new TextEncoder().encode("ping"));
    assertEquals(await readSome(connection, 4), "ping");
    assert(performance.now() - start >= 30);
  }
});

test("delay proxy: cut ends every connection and accepts new ones", async () => {
  await using echo = startEcho();
  await using proxy = startDelayProxy({ port: echo.port });
  using first = await Deno.connect({ hostname: "127.0.0.1", port: proxy.port });
  await first.write(new TextEncoder().encode("one"));
  assertEquals(await readSome(first, 3), "one");
  await proxy.cut();
  assertEquals(proxy.connections, 0);
  assertEquals(await first.read(new Uint8Array(1)).catch(() => null), null);
  using second = await Deno.connect({ hostname: "127.0.0.1", port: proxy.port });
  await second.write(new TextEncoder().encode("two"));
  assertEquals(await readSome(second, 3), "two");
});

test("delay proxy: freeze holds bytes back until thaw", async () => {
  await using echo = startEcho();
  await using proxy = startDelayProxy({ port: echo.port });
  using frozen = await Deno.connect({ hostname: "127.0.0.1", port: proxy.port });
  await frozen.write(new TextEncoder().encode("before"));
  assertEquals(await readSome(frozen, 6), "before");
  proxy.freeze();
  await frozen.write(new TextEncoder().encode("behind"));
  const answer = readSome(frozen, 6);
  // Another connection's whole life through the server orders us behind what a leak would have passed.
  using direct = await Deno.connect({ hostname: "127.0.0.1", port: echo.port });
  for (let round = 0; round < 20; round++) {
    await direct.write(new TextEncoder().encode("x"));
    await readSome(direct, 1);
  }
  assertEquals([proxy.bytesToServer, proxy.bytesToClient, proxy.connections], [6, 6, 1]);
  proxy.thaw();
  assertEquals(await answer, "behind");
});

test("delay proxy: freezeAfter lets exactly so many bytes through", async () => {
  await using echo = startEcho();
  await using proxy = startDelayProxy({ port: echo.port });
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: proxy.port });
  for (const direction of ["toServer", "toClient"] as const) {
    const { bytesToServer, bytesToClient } = proxy;
    const frozen = proxy.freezeAfter(direction, 4);
    await connection.write(new TextEncoder().encode("behind"));
    await frozen;
    const passed = { toServer: proxy.bytesToServer - bytesToServer, toClient: 0 };
    passed.toClient = proxy.bytesToClient - bytesToClient;
    assertEquals(passed[direction], 4);
    proxy.thaw();
    assertEquals(await readSome(connection, 6), "behind");
  }
});

test("delay proxy: disposal while frozen and full ends", async () => {
  await using echo = startEcho();
  await using proxy = startDelayProxy({ port: echo.port, delay: 5, capacity: 1000 });
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: proxy.port });
  await connection.write(new TextEncoder().encode("x"));
  await readSome(connection, 1);
  proxy.freeze();
  await connection.write(new Uint8Array(5000));
});
