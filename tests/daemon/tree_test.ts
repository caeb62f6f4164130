import { assertEquals } from "../support/assert.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { Link } from "../../lib/core/link.ts";
import { Router } from "../../lib/core/router.ts";
import { transportPair } from "../../lib/core/transport_pair.ts";
import { Tree } from "../../lib/daemon/tree.ts";
import { test } from "../support/test.ts";

test("tree: who calls a context that has gone is told why it went; who calls one that never was, that", async () => {
  const tree = new Tree({ owner: "t", log: () => {} });
  const [ours, theirs] = transportPair();
  const link = new Link(7, ours, { privileged: true });
  tree.router.addRoute(7, link);
  const client = new Router({ id: 7, parentIds: [0] });
  const up = new Link(0, theirs);
  client.setParent(up);
  const runs = [
    link.run({ onFrame: (frame) => tree.receive(frame, link), onClose() {} }),
    up.run({ onFrame: (frame) => client.receive(frame, up), onClose() {} }),
  ];
  const [gone, far] = transportPair();
  const lost = new Link(9, gone);
  tree.router.addRoute(9, lost);
  tree.router.removeLink(lost, new HoldfastError("auth", "the password has expired"));
  const call = (context: number) =>
    client.call(context, { service: "context", method: "ping" }).catch(({ kind, message }) => [
      kind,
      message,
    ]);
  assertEquals(await call(9), ["auth", "the password has expired"]);
  assertEquals(await call(10), ["no_route", "Cannot deliver message: there is no context 10"]);
  far.close();
  link.close(null);
  up.close(null);
  await Promise.all(runs);
});
