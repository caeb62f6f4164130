/** Modules on their way down: who is sent what, how often, and who may ask. */

import { GET_MODULE, LOAD_MODULE } from "../../lib/core/constants.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { Importer, type Module } from "../../lib/core/importer.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { Link } from "../../lib/core/link.ts";
import { Router } from "../../lib/core/router.ts";
import { transportPair } from "../../lib/core/transport_pair.ts";
import { assertEquals, assertRejects, assertStringIncludes, fail } from "../support/assert.ts";
import { star, turn } from "../support/fenced_link.ts";
import { test } from "../support/test.ts";

interface Node {
  router: Router;
  importer: Importer;
  /** Ids of the modules that came over the link from above, in order. */
  received: string[];
}

interface Chain extends Disposable {
  nodes: Node[];
  /** Ids that the root's finder was asked for. */
  found: string[];
}

function moduleOf(id: string, script: string, needs: string[] = []): Module {
  const requires = Object.fromEntries(needs.map((need) => [`./${need}`, need]));
  return { id, needs, requires, source: new TextEncoder().encode(script) };
}

const MODULES = new Map([
  moduleOf("leaf", "exports.value = 20"),
  moduleOf("twig", 'exports.value = require("./leaf").value + 1', ["leaf"]),
  moduleOf("tree", 'exports.value = 2 * require("./twig").value', ["leaf", "twig"]),
  moduleOf("broken", 'throw new RangeError("not today")'),
  { ...moduleOf("reaching", 'exports.errors = require("../core/errors.ts")'), own: true },
  moduleOf("foreign", 'exports.errors = require("../core/errors.ts")'),
  moduleOf("even", 'exports.even = (n) => n === 0 || require("./odd").odd(n - 1)', ["odd"]),
  moduleOf("odd", 'exports.odd = (n) => n !== 0 && require("./even").even(n - 1)', ["even"]),
  moduleOf("lost", 'require("./nowhere")'),
].map((module) => [module.id, module]));

/** Root 0 with 1 below it, 2 below that, and so on. Source is not compressed. */
function chain(length: number, modules: Map<string, Module> = MODULES): Chain {
  const found: string[] = [];
  const nodes: Node[] = [];
  const inflate = (source: Uint8Array) => Promise.resolve(new TextDecoder().decode(source));
  const core = { errors: { HoldfastError } };
  const links: Link[] = [];
  const find = (id: string) => {
    found.push(id);
    const module = modules.get(id);
    if (module) return Promise.resolve(module);
    return Promise.reject(new HoldfastError("not_found", `there is no module "${id}"`));
  };
  for (let id = 0; id < length; id++) {
    const parentIds = nodes.map((_, at) => id - 1 - at);
    const router = new Router({ id, parentIds });
    const options = id === 0 ? { core, inflate, find } : { core, inflate };
    const node: Node = { router, importer: new Importer(router, options), received: [] };
    const parent = nodes.at(-1);
    nodes.push(node);
    if (!parent) continue;
    const [above, below] = transportPair();
    const up = new Link(id - 1, below);
    const down = new Link(id, above);
    links.push(up, down);
    router.setParent(up);
    parent.router.addRoute(id, down);
    void down.run({ onFrame: (frame) => parent.router.receive(frame, down), onClose() {} });
    void up.run({
      onFrame(frame) {
        if (frame.handle === LOAD_MODULE) {
          const head = frame.payload.subarray(0, frame.payload.indexOf(0x0a));
          node.received.push(JSON.parse(new TextDecoder().decode(head)).id);
        }
        router.receive(frame, up);
      },
      onClose() {},
    });
  }
  return {
    nodes,
    found,
    [Symbol.dispose]() {
      for (const link of links) link.close(null);
    },
  };
}

test("importer: a module comes from the root, what it needs ahead of it, and runs once", async () => {
  using tree = chain(4);
  await turn();
  const deepest = tree.nodes[3].importer;
  const first = await deepest.load("tree") as { value: number };
  assertEquals(first.value, 42);
  assertEquals(await deepest.load("tree") === first, true);
  for (const { received } of tree.nodes.slice(1)) assertEquals(received, ["leaf", "twig", "tree"]);
});

test("importer: requests for one module are joined, whoever asks", async () => {
  using tree = chain(3);
  await turn();
  const loads = [1, 2, 1, 2].map((at) => tree.nodes[at].importer.load("twig"));
  await Promise.all(loads);
  assertEquals(tree.found.filter((id) => id === "twig").length, 1);
  assertEquals(tree.nodes[1].received, ["leaf", "twig"]);
});

test("importer: the root sends a module to each neighbour once, whoever is to have it", async () => {
  using tree = chain(4);
  await turn();
  for (const to of [2, 3, 1, 3]) await tree.nodes[0].importer.provide(to, "twig");
  await turn();
  assertEquals(tree.nodes.map(({ received }) => received.length), [0, 2, 2, 2]);
  // It is there: nothing more is asked for.
  await tree.nodes[3].importer.load("twig");
  assertEquals(tree.nodes[3].received.length, 2);
});

test("importer: what is not there, fails to run or needs the unknown says so, each time", async () => {
  using tree = chain(3);
  await turn();
  const { importer } = tree.nodes[2];
  for (let round = 0; round < 2; round++) {
    const missing = await assertRejects(() => importer.load("nothing"), HoldfastError);
    assertEquals([missing.kind, missing.message], ["not_found", 'there is no module "nothing"']);
    await assertRejects(() => importer.load("broken"), RangeError, "not today");
    const lost = await assertRejects(() => importer.load("lost"), HoldfastError);
    assertStringIncludes(lost.message, "./nowhere");
  }
});

test("importer: node's modules are the runtime's, under the name that they are required by", async () => {
  const script = 'exports.sep = require("node:path").sep + typeof require("url").fileURLToPath';
  const builtin = { ...moduleOf("builtin", script), requires: { url: "node:url" } };
  using tree = chain(2, new Map([["builtin", builtin]]));
  await tree.nodes[0].importer.provide(1, "builtin");
  await turn();
  assertEquals(await tree.nodes[1].importer.load("builtin"), { sep: "/function" });
});

test("importer: a circle of imports travels, and works", async () => {
  using tree = chain(3);
  await tree.nodes[0].importer.provide(2, "even");
  await turn();
  const { even } = await tree.nodes[2].importer.load("even") as { even(n: number): boolean };
  assertEquals([even(10), even(7)], [true, false]);
  assertEquals(tree.nodes[2].received.toSorted(), ["even", "odd"]);
});

test("importer: what is not Holdfast's own does not reach the core", async () => {
  using tree = chain(2);
  await tree.nodes[0].importer.provide(1, "foreign");
  await turn();
  const error = await assertRejects(
    () => tree.nodes[1].importer.load("foreign"),
    HoldfastError,
  );
  assertStringIncludes(error.message, "it needs ../core/errors.ts");
});

test("importer: a module that failed to load can be tried again, with what it needs", async () => {
  const fails = 'require("./leaf"); if (!globalThis.tried) { globalThis.tried = 1; throw 1 }';
  using tree = chain(2, new Map([...MODULES, ["fails", moduleOf("fails", fails, ["leaf"])]]));
  await tree.nodes[0].importer.provide(1, "fails");
  await turn();
  await tree.nodes[1].importer.load("fails").then(() => fail("it loaded"), () => {});
  assertEquals(await tree.nodes[1].importer.load("fails"), {});
});

test("importer: a module shares the core's own modules", async () => {
  using tree = chain(2);
  await turn();
  const { errors } = await tree.nodes[1].importer.load("reaching") as {
    errors: { HoldfastError: unknown };
  };
  assertEquals(errors.HoldfastError, HoldfastError);
});

test("importer: a child cannot send a module up, nor ask in another's name", async () => {
  await using tree = star({ id: 5, parentIds: [0] });
  const parent = tree.parent(0);
  const child = tree.child(7);
  tree.child(8);
  const importer = new Importer(tree.router, { core: {}, inflate: () => Promise.resolve("") });
  const text = JSON.stringify({ id: "evil", needs: [], requires: {} });
  child.send({ handle: LOAD_MODULE }, new TextEncoder().encode(`${text}\nexports.owned = true`));
  child.send({ src: 8, handle: GET_MODULE }, { id: "x" });
  await turn();
  assertEquals(parent.frames.filter(({ handle }) => handle === GET_MODULE), []);
  let settled = false;
  void importer.load("evil").catch(() => {}).then(() => settled = true);
  await turn();
  assertEquals(settled, false); // it is asked for above, not taken from below
  assertEquals(parent.frames.filter(({ handle }) => handle === GET_MODULE).length, 1);
});

test("importer: a child that asks for too many modules is cut off, its siblings are not", async () => {
  await using tree = star({ id: 5, parentIds: [0] });
  tree.parent(0);
  const child = tree.child(7);
  const sibling = tree.child(8);
  new Importer(tree.router, { core: {}, inflate: () => Promise.resolve("") });
  for (let i = 0; i <= LIMITS.modulesWanted; i++) {
    child.send({ handle: GET_MODULE }, { id: `m${i}` });
  }
  await turn();
  assertEquals([tree.router.linkOf(7), tree.router.linkOf(8) === sibling.link], [undefined, true]);
});
