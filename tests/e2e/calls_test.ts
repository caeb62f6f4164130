/** Functions of one's own in contexts, over a real sshd and three hops, on each runtime. */
import { gather, HoldfastError, RemoteError } from "../../lib/mod.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";
import { REMOTE, type RemoteFunctions, routerIn, until } from "./calls_fixture.ts";

for (const runtime of ["deno", "node", "bun"] as const) {
  const needs = runtime === "deno" ? [] : [runtime];
  test.needs("sshd", "namespaces", "sudo", ...needs)(
    `calls: three hops deep, on ${runtime}`,
    async (t) => {
      await using sshd = await startSshd();
      await using account = await createAccount({ runtimes: [runtime], sudo: "nopasswd" });
      await using workspace = await Workspace.create();
      await workspace.addHost("web1", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      await Deno.chmod(account.home, 0o755);
      await using router = await routerIn(workspace);
      const web = await router.ssh({ host: "web1", configFile: workspace.config });
      const root = await router.sudo({ via: web });
      const deep = await router.local({ via: root });
      const remote = deep.module<RemoteFunctions>(REMOTE);

      await t.step("a result, of a module that travels with all that it imports", async () => {
        assertEquals(deep.target, "web1,sudo,local");
        assertEquals(await remote.add(2, 3), 5);
        const { uid, runtime: where } = await remote.whoami();
        assertEquals([uid, where], [0, runtime]);
        assertEquals(
          await remote.imported(),
          ["b", "1", ["mine"], 42, "late"],
        );
        assertEquals(await remote.ownError(), "the user's own");
      });

      await t.step("values that JSON lacks, and large ones, there and back", async () => {
        const value = new Map<unknown, unknown>([[1n, new Set([undefined, NaN, new Date(5)])]]);
        assertEquals(await deep.call(REMOTE, "echo", value), [value]);
        const bytes = crypto.getRandomValues(new Uint8Array(65_536));
        const large = Array.from({ length: 64 }, () => bytes);
        assertEquals(await remote.echo(...large), large);
      });

      await t.step("an exception, with the place in its source", async () => {
        const error = await assertRejects(() => remote.fail("oh"), RemoteError);
        assertEquals([error.name, error.message], ["RangeError", "oh"]);
        assertEquals(error.context, "web1,sudo,local");
        const source = (await Deno.readTextFile(REMOTE)).split("\n");
        const line = source.findIndex((line) => line.includes("new RangeError")) + 1;
        assertMatch(error.stack!, new RegExp(`\\n.*fail.*called/remote\\.ts:${line}:\\d+`));
        assertStringIncludes(error.stack!, "in web1,sudo,local");
        assertEquals((error.cause as Error).message, "below");
        assertEquals((error.thrown as { code: string }).code, "E42");
        const odd = await assertRejects(() => remote.failOddly(), RemoteError);
        assertEquals(odd.thrown, { odd: true });
      });

      await t.step("a result that cannot be represented is told with its path", async () => {
        const error = await assertRejects(() => remote.unfit(), HoldfastError);
        assertEquals(error.kind, "usage");
        assertStringIncludes(error.message, "result.items[3].cb is a function");
      });

      await t.step("an argument that cannot be represented, too", async () => {
        const error = await assertRejects(
          () => deep.call(REMOTE, "echo", 1, { f: () => {} }),
          HoldfastError,
        );
        assertStringIncludes(error.message, "arguments[1].f is a function");
      });

      await t.step("an async iterable, to its end and left early", async () => {
        const { ended } = await remote.state();
        const seen: number[] = [];
        for await (const { i } of await remote.count(5)) seen.push(i);
        assertEquals(seen, [0, 1, 2, 3, 4]);
        for await (const _ of await remote.count(1e9)) break;
        await until(async () => (await remote.state()).ended === ended + 2);
        const error = await assertRejects(async () => {
          for await (const number of await remote.failing()) assertEquals(number, 1);
        }, TypeError);
        assertEquals(error.message, "after one");
      });

      await t.step("an async iterable that is not read waits", async () => {
        const blocks = await remote.blocks(64 * 1024);
        await blocks.next();
        await remote.add(1, 1);
        let before = -1;
        for (let now = (await remote.state()).pulled; now !== before;) {
          before = now;
          for (let i = 0; i < 20; i++) await remote.add(1, 1);
          now = (await remote.state()).pulled;
        }
        assert(before < 300, `${before} blocks were made and one was read`);
        await blocks.return!();
        const { ended } = await remote.state();
        await until(async () => (await remote.state()).ended >= ended);
      });

      await t.step("an async iterable as an argument", async () => {
        async function* numbers() {
          for (let i = 0; i < 1000; i++) yield i;
        }
        assertEquals(await remote.sum(numbers()), 499_500);
      });

      await t.step("a signal gives the call up, there too", async () => {
        const controller = new AbortController();
        using started = router.channel<string>();
        const before = await remote.abortedCalls();
        const call = remote.untilAborted(controller.signal, started);
        for await (const word of started) {
          assertEquals(word, "started");
          controller.abort(new Error("enough"));
          break;
        }
        const error = await assertRejects(() => call, Error);
        assertEquals(error.message, "enough");
        await until(async () => await remote.abortedCalls() === before + 1);
        const late = await assertRejects(() => remote.wait(controller.signal), Error);
        assertEquals(late.message, "enough");
      });

      await t.step("a chain runs in order, and stops at the first failure", async () => {
        using chain = deep.chain();
        const chained = chain.module<RemoteFunctions>(REMOTE);
        const texts = ["a long first note", "short", "s"];
        const calls = texts.map((text) => chained.note(text));
        assertEquals((await calls[2]).slice(-3), texts);
        const failed = chained.fail("the chain");
        const after = [chained.note("never"), chained.add(1, 1)];
        for (const call of [failed, ...after]) {
          const error = await assertRejects(() => call, RemoteError);
          assertEquals(error.message, "the chain");
        }
        using other = deep.chain();
        assertEquals((await other.module<RemoteFunctions>(REMOTE).note("x")).slice(-2), ["s", "x"]);
      });

      await t.step("a channel brings a function's events, all of them", async () => {
        using channel = router.channel<number>();
        const calls = [
          remote.events(channel, 100),
          web.module<RemoteFunctions>(REMOTE)
            .events(channel, 50),
        ];
        const all = Promise.all(calls).finally(() => channel.close());
        const seen: number[] = [];
        for await (const number of channel) seen.push(number);
        assertEquals(await all, ["sent", "sent"]);
        assertEquals(seen.filter((number) => number < 50).length, 100);
        assertEquals(seen.length, 150);
      });

      await t.step("what it prints and fails with unheard goes to the root's log", async () => {
        await remote.speak(runtime);
        const log = async () => await Deno.readTextFile(`${workspace.dir}/log`);
        await until(async () => (await log()).includes(`unheard ${runtime}`));
        assertMatch(await log(), /info web1,sudo,local says: said \{ text: /);
        assertMatch(await log(), /warn web1,sudo,local says: alarmed/);
        assertMatch(await log(), /warn web1,sudo,local says: uncaught: Error: unheard /);
      });

      await t.step("scatter and gather", async () => {
        const ends = [];
        const contexts = [web, root, deep];
        const calls = contexts.map((context) => context.module<RemoteFunctions>(REMOTE).whoami());
        const failing = deep.module<RemoteFunctions>(REMOTE).fail("one of many");
        for await (const { context, value, error } of gather<unknown>([...calls, failing])) {
          ends.push(error ? `${context.target}: ${(error as Error).message}` : context.target);
          if (value) assert((value as { pid: number }).pid > 0);
        }
        assertEquals(ends.sort(), [
          "web1",
          "web1,sudo",
          "web1,sudo,local",
          "web1,sudo,local: one of many",
        ]);
      });

      await t.step("commands and files", async () => {
        const { code, stdout } = await deep.exec("cat; id -u; exit 3", { stdin: "in " });
        assertEquals([code, new TextDecoder().decode(stdout)], [3, "in 0\n"]);
        const path = `/root/hf-${crypto.randomUUID()}`;
        await deep.put(new URL("./called/late.ts", import.meta.url).pathname, path);
        const back = workspace.join("back");
        await deep.fetch(path, back);
        assertStringIncludes(await Deno.readTextFile(back), "late");
        await deep.exec(["rm", path]);
      });

      await t.step("a context that goes away fails what waits, and is named", async () => {
        const { pid } = await remote.whoami();
        const waiting = remote.wait(new AbortController().signal);
        const failure = assertRejects(() => waiting, HoldfastError);
        await remote.add(1, 1);
        await root.exec(`kill -9 ${pid}`);
        const error = await failure;
        assertEquals(error.kind, "disconnected");
        assertStringIncludes(error.message, "web1,sudo,local");
      });
    },
  );
}

test("calls: modules that cannot be had are told apart", async (t) => {
  await using workspace = await Workspace.create();
  await using router = await routerIn(workspace);
  const here = await router.local();
  const write = async (name: string, text: string) => {
    const path = workspace.join(name);
    await Deno.writeTextFile(path, text);
    return new URL(`file://${path}`);
  };
  const failure = async (url: URL, name = "f") =>
    await assertRejects(() => here.call(url, name), HoldfastError);

  await t.step("it does not exist", async () => {
    const { kind, message } = await failure(new URL(`file://${workspace.join("none.ts")}`));
    assertEquals(kind, "not_found");
    assertMatch(message, /^Cannot compile ".*\/none\.ts": it does not exist$/);
  });

  await t.step("it does not compile", async () => {
    const url = await write(
      "wrong.ts",
      "export const a = 1;\n\nexport function f() {\n  return +;\n}",
    );
    const { kind, message } = await failure(url);
    assertEquals(kind, "usage");
    assertMatch(message, /^Cannot compile ".*\/wrong\.ts:4:\d+": /);
  });

  await t.step("what it imports does not exist", async () => {
    const url = await write("lacking.ts", `export const a = 1;\nexport * from "./none.ts";\n`);
    const { kind, message } = await failure(url);
    assertEquals(kind, "usage");
    assertMatch(
      message,
      /^Cannot compile ".*\/lacking\.ts:2:15": there is no module "\.\/none\.ts"$/,
    );
  });

  await t.step("what it imports does not compile", async () => {
    const url = await write("above.ts", `export * from "./wrong.ts";\n`);
    assertMatch((await failure(url)).message, /^Cannot compile ".*\/wrong\.ts:4:\d+": /);
  });

  await t.step("it throws while it loads", async () => {
    const text = `export function f() {}\n\nthrow new TypeError("not today");\n`;
    const error = await assertRejects(() =>
      write("throws.ts", text).then((url) => here.call(url, "f"))
    );
    assertInstanceOf(error, RemoteError);
    assertMatch(error.message, /^Cannot load throws\.ts@\w+: not today$/);
    assertMatch(error.stack!, /\/throws\.ts:3:\d+/);
  });

  await t.step("it exports no such function", async () => {
    const url = await write("small.ts", "export function g() {}\nexport const h = 1;\n");
    const { kind, message } = await failure(url);
    assertEquals(kind, "not_found");
    assertMatch(message, /^local: Cannot call "f": small\.ts@\w+ exports g$/);
    for (const name of ["h", "toString", "__proto__", "constructor"]) {
      assertEquals((await failure(url, name)).kind, "not_found");
    }
  });

  await t.step("it is no file of this machine", async () => {
    assertEquals((await failure(new URL("https://example.org/x.ts"))).kind, "usage");
  });

  await t.step("it has a top-level await", async () => {
    const url = await write("awaits.ts", "export const f = await 1;\n");
    assertMatch((await failure(url)).message, /awaits\.ts": Top-level await/);
  });

  await t.step("an edited file is seen by the next client, and not by this one", async () => {
    const url = await write("edited.ts", "export function f() { return 1; }\n");
    assertEquals(await here.call(url, "f"), 1);
    await write("edited.ts", "export function f() { return 1 + 1; }\n");
    assertEquals(await here.call(url, "f"), 1);
    await using next = await routerIn(workspace);
    const again = await next.local();
    assertEquals(await again.call(url, "f"), 2);
  });

  await t.step("many calls of a module that nobody had join in one", async () => {
    const url = await write("joined.ts", "let n = 0;\nexport function f() { return ++n; }\n");
    const routers = await Promise.all([routerIn(workspace), routerIn(workspace)]);
    const contexts = await Promise.all(
      [here, ...routers].map((each) => "call" in each ? each : each.local()),
    );
    const calls = contexts.flatMap((context) => [context, context, context])
      .map((context) => context.call(url, "f"));
    assertEquals((await Promise.all(calls) as number[]).sort(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await Promise.all(routers.map((each) => each[Symbol.asyncDispose]()));
  });
});

test.needs("sshd", "namespaces")("calls: a target without a runtime says so", async () => {
  await using sshd = await startSshd();
  await using account = await createAccount();
  await using workspace = await Workspace.create();
  await workspace.addHost("bare", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  await using router = await routerIn(workspace);
  const bare = await router.ssh({ host: "bare", configFile: workspace.config });
  assertEquals((await bare.exec("exit 4")).code, 4);
  const error = await assertRejects(() => bare.call(REMOTE, "add", 1, 2), HoldfastError);
  assertEquals(error.kind, "bootstrap");
  assertStringIncludes(error.message, "it has no deno, node or bun");
});
