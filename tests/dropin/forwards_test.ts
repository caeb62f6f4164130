/** Forwards: what ssh_config's lines come to, where they listen, and what a context may do with a listener. */
import { configuredForwards } from "../../lib/dropin/configured_forwards.ts";
import { bindAddresses } from "../../lib/dropin/forward_places.ts";
import { listenThere } from "../../lib/dropin/remote_listener.ts";
import { encodeJson, type JsonObject } from "../../lib/core/json.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { ReceiveStream, SendStream } from "../../lib/core/stream.ts";
import { assertEquals } from "../support/assert.ts";
import { contextPair } from "../support/context_pair.ts";
import { test } from "../support/test.ts";

test("forwards: ssh_config's, as ssh -G prints them", () => {
  const keywords = {
    // The first is an echo of the local one to /tmp/s.
    dynamicforward: ["8082", "1080", "[::1]:1081"],
    localforward: ["8080 [localhost]:80", "[*]:8081 [::1]:81", "8082 /tmp/s", "/a b [h]:22", "x"],
    remoteforward: ["0 [h]:1", "9002 [socks]:0", "[*]:9003 [socks]:0", "/tmp/r /tmp/q"],
  };
  assertEquals(configuredForwards(keywords), [
    { kind: "local", listen: { port: 8080 }, connect: { host: "localhost", port: 80 } },
    { kind: "local", listen: { host: "*", port: 8081 }, connect: { host: "::1", port: 81 } },
    { kind: "local", listen: { port: 8082 }, connect: { path: "/tmp/s" } },
    { kind: "local", listen: { path: "/a b" }, connect: { host: "h", port: 22 } },
    { kind: "remote", listen: { port: 0 }, connect: { host: "h", port: 1 } },
    { kind: "remote-dynamic", listen: { port: 9002 } },
    { kind: "remote-dynamic", listen: { host: "*", port: 9003 } },
    { kind: "remote", listen: { path: "/tmp/r" }, connect: { path: "/tmp/q" } },
    { kind: "dynamic", listen: { port: 1080 } },
    { kind: "dynamic", listen: { host: "::1", port: 1081 } },
  ]);
});

test("forwards: they listen on loopback addresses unless they are told otherwise", () => {
  const hosts = (host: string | undefined, gatewayPorts = false) =>
    bindAddresses({ host, port: 1 }, { gatewayPorts }).map((place) =>
      "host" in place && place.host
    );
  assertEquals(hosts(undefined), ["127.0.0.1", "::1"]);
  assertEquals(hosts("localhost"), ["127.0.0.1", "::1"]);
  assertEquals(hosts("localhost", true), ["127.0.0.1", "::1"]);
  assertEquals(hosts(undefined, true), ["::", "0.0.0.0"]);
  assertEquals(hosts("*"), ["::", "0.0.0.0"]);
  assertEquals(hosts(""), ["::", "0.0.0.0"]);
  assertEquals(hosts("10.0.0.1", true), ["10.0.0.1"]);
});

test("forwards: what a context says of its connections can be nonsense", async () => {
  let handle = 0;
  await using pair = contextPair({
    services: {
      net: {
        listen: {
          policy: "parents",
          handle({ accepted }) {
            handle = accepted as number;
            return { port: 1 };
          },
        },
      },
    },
  });
  let arrived = 0;
  const listener = await listenThere(
    { router: pair.parent, context: 1, places: [{ port: 0 }] },
    async ({ incoming, outgoing }) => {
      arrived++;
      for (let bytes = await incoming.read(); bytes; bytes = await incoming.read()) {
        await outgoing.write(bytes);
      }
      await outgoing.close();
    },
  );
  const { child } = pair;
  const announce = (value: JsonObject) =>
    child.send({ dst: 0, handle, replyTo: 0 }, encodeJson(value));
  const open = () => ({ sink: SendStream.open(child, 0), source: ReceiveStream.open(child, 0) });
  child.send({ dst: 0, handle, replyTo: 0 }, new TextEncoder().encode("{"));
  announce({});
  announce({ incoming: -1, outgoing: 2 ** 40 });
  announce({ incoming: 1000, outgoing: 1000 });
  announce({ incoming: "x", outgoing: null });
  const { sink, source } = open();
  announce({ incoming: sink.id, outgoing: source.id });
  await sink.write(new TextEncoder().encode("hello"));
  await sink.close();
  assertEquals(new TextDecoder().decode((await source.read())!), "hello");
  assertEquals(await source.read(), null);
  // Too many at once: those over the limit are told, the others stay.
  const many = Array.from({ length: LIMITS.openPerPeer / 2 + 10 }, open);
  for (const { sink, source } of many) announce({ incoming: sink.id, outgoing: source.id });
  const refusals = await Promise.all(many.slice(-10).map(({ sink }) => sink.ended));
  assertEquals(refusals.map((error) => error?.kind), Array(10).fill("limit"));
  assertEquals(arrived, 1 + LIMITS.openPerPeer / 2);
  await listener.close();
  announce({ incoming: many[0].sink.id, outgoing: many[0].source.id });
  await child.call(0, { service: "x", method: "y" }).catch(() => {});
  assertEquals(arrived, 1 + LIMITS.openPerPeer / 2);
});
