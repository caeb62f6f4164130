/** Contexts that were allowed to reach each other: on real hops, what they can call and what they cannot. */
import {
  CALL_FUNCTION,
  DEL_ROUTE,
  DETACHING,
  FORWARD_MODULE,
  LOAD_MODULE,
  SHUTDOWN,
} from "../../lib/core/constants.ts";
import { connectDaemon, type Session } from "../../lib/client/session.ts";
import type { JsonObject } from "../../lib/core/json.ts";
import { assertEquals, assertMatch } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";
import { routerIn } from "./calls_fixture.ts";

const PEER = new URL("./called/peer.ts", import.meta.url);

type Reached = { ok?: unknown; kind?: string; message?: string };

/** A client's view of contexts that serve `called/peer.ts`. */
function peersOf(session: Session, workspace: Workspace) {
  const call = (dst: number, service: string, method: string, args: JsonObject = {}) =>
    session.router.call(dst, { service, method, args });
  return {
    call,
    async open(target: string): Promise<number> {
      const ssh = { configFile: workspace.config };
      const id = await session.open({ target, ssh, purpose: "code" });
      const { module } = await session.daemon("module", "provide", { context: id, url: `${PEER}` });
      await call(id, "context", "load", { module });
      return id;
    },
    /** What comes of a call in `to` that `from` makes. */
    async reach(from: number, to: number, name = "peer.greet", args: JsonObject = {}) {
      const [service, method] = name.split(".");
      const how = { dst: to, service, method, args };
      return await call(from, "peer", "reach", how) as Reached;
    },
    grant: (a: number, b: number) => session.daemon("routing", "grant", { a, b }),
  };
}

const hosts = test.needs("sshd", "namespaces", "sudo");

hosts("granted peers: siblings, cousins and strangers behind two hosts", async (t) => {
  await using sshd = await startSshd();
  await using account = await createAccount({ runtimes: ["deno"], sudo: "nopasswd" });
  await using stranger = await createAccount({ runtimes: ["node"] });
  for (const { home } of [account, stranger]) await Deno.chmod(home, 0o755);
  await using workspace = await Workspace.create();
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await workspace.addHost("web2", { user: stranger.name, port: sshd.port });
  await workspace.trust(sshd);
  await using _here = await routerIn(workspace);
  await using session = await connectDaemon();
  const { call, open, reach, grant } = peersOf(session, workspace);
  const web = await open("web1");
  const root = await open("web1,sudo");
  const below = await open("web1,sudo,local");
  const sibling = await open("web1,local");
  const other = await open("web2");
  const greeting = (from: number, to: number) => ({ ok: `context ${to} greets ${from}` });
  const refused = async (from: number, to: number) => {
    const { kind, message } = await reach(from, to);
    assertEquals(kind, "refused");
    assertMatch(message!, /a child may not reach context/);
  };
  const PAIRS = [[root, sibling], [sibling, root], [below, other], [other, below], [web, other]];

  await t.step("without a grant nobody reaches another one, but its parents", async () => {
    for (const [from, to] of PAIRS) await refused(from, to);
    assertEquals(await reach(below, web), greeting(below, web));
  });

  await t.step("a granted pair reaches each other, and nobody else does", async () => {
    await grant(root, sibling);
    assertEquals(await reach(root, sibling), greeting(root, sibling));
    assertEquals(await reach(sibling, root), greeting(sibling, root));
    for (const [from, to] of [...PAIRS.slice(2), [below, sibling], [sibling, below]]) {
      await refused(from, to);
    }
  });

  await t.step("a pair on two hosts, one of them two hops deep", async () => {
    await grant(below, other);
    assertEquals(await reach(below, other), greeting(below, other));
    assertEquals(await reach(other, below), greeting(other, below));
    for (const [from, to] of [[root, other], [web, other], [other, web], [other, root]]) {
      await refused(from, to);
    }
  });

  await t.step("what is for parents is refused to a peer, by the peer", async () => {
    const words = { command: ["touch", `${account.home}/owned`], stdin: null };
    const methods: [string, JsonObject][] = [
      ["peer.secret", {}],
      ["peer.reach", { dst: web, service: "peer", method: "secret" }],
      ["process.exec", { ...words, stdout: 1000, stderr: 1001 }],
      ["context.ping", {}],
      ["context.load", { module: "hops" }],
      ["context.detach", {}],
      ["context.give", { first: 100, count: 1, owner: below }],
      ["context.grant", { a: root, b: other }],
      ["hop.open", { id: 9999, method: "local", name: "x", ask: 1000, deadline: 1000 }],
    ];
    for (const [name, args] of methods) {
      const { kind, message } = await reach(below, other, name, args);
      // What that context does not have cannot be told from what it has not got yet.
      assertEquals([name, kind], [name, name === "hop.open" ? "no_route" : "refused"]);
      if (kind === "refused") assertEquals(message, `${name} is not for context ${below}`);
    }
    assertEquals(await Deno.stat(`${account.home}/owned`).catch(() => null), null);
  });

  await t.step("nor does it take orders from one", async () => {
    const handles = [SHUTDOWN, DEL_ROUTE, LOAD_MODULE, FORWARD_MODULE, CALL_FUNCTION, DETACHING];
    const body = { ids: [below, other, 0], kind: "disconnected", description: "x", id: "x", to: 1 };
    await call(root, "peer", "send", { dst: sibling, handles, body });
    assertEquals(await reach(root, sibling), greeting(root, sibling));
    assertEquals(await call(sibling, "peer", "secret"), "not for peers");
  });

  await t.step(
    "a grant ends with one of the two: what waits is told, its successor is not meant",
    async () => {
      const waiting = reach(root, sibling, "peer.hang");
      assertEquals(await reach(root, sibling), greeting(root, sibling));
      await workspace.run("disconnect", ["-F", workspace.config, "web1,local"]);
      assertEquals((await waiting).kind, "disconnected");
      assertEquals((await reach(root, sibling)).kind, "no_route");
      const successor = await open("web1,local");
      for (const [from, to] of [[root, successor], [successor, root]]) await refused(from, to);
      // The other pair is as it was.
      assertEquals(await reach(other, below), greeting(other, below));
    },
  );
});
