/** Files of this machine as modules that travel: what they are made of, when anew, and what is wrong with them. */

import { HoldfastError } from "../../lib/core/errors.ts";
import { Importer } from "../../lib/core/importer.ts";
import { Router } from "../../lib/core/router.ts";
import { ModuleCompiler } from "../../lib/sources/module_compiler.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
} from "../support/assert.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";

interface Bench extends AsyncDisposable {
  dir: TempDir;
  compiler: ModuleCompiler;
  /** Writes files, by name. */
  write(files: Record<string, string>): Promise<void>;
  compile(name: string): Promise<string>;
  /** Compiles it and runs it here; its exports. */
  run(name: string): Promise<Record<string, unknown>>;
}

async function bench(files: Record<string, string>): Promise<Bench> {
  const dir = await tempDir();
  const compiler = new ModuleCompiler();
  const inflate = (source: Uint8Array) => {
    const stream = new Blob([source as BufferSource]).stream();
    return new Response(stream.pipeThrough(new DecompressionStream("deflate-raw"))).text();
  };
  const options = { core: {}, inflate, find: (id: string) => compiler.find(id) };
  const importer = new Importer(new Router({ id: 0 }), options);
  const here: Bench = {
    dir,
    compiler,
    async write(files) {
      for (const [name, text] of Object.entries(files)) {
        const path = dir.join(name);
        await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
        await Deno.writeTextFile(path, text);
      }
    },
    compile: (name) => compiler.compile(`file://${dir.join(name)}`),
    async run(name) {
      return await importer.load(await here.compile(name)) as Record<string, unknown>;
    },
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
  await here.write(files);
  return here;
}

test("compiler: a file and its imports are one module each, dependencies first", async () => {
  await using here = await bench({
    "main.ts": `import { b } from "./lib/b.ts"; import { c } from "./lib/c.ts";
      export const sum: number = b + c;`,
    "lib/b.ts": `import { c } from "./c.ts"; export const b = c * 10;`,
    "lib/c.ts": `export const c = 4;`,
  });
  const id = await here.compile("main.ts");
  const { needs, requires } = await here.compiler.find(id);
  assertEquals(needs.map((need) => need.split("@")[0]), ["c.ts", "b.ts"]);
  assertEquals(requires, { "./lib/b.ts": needs[1], "./lib/c.ts": needs[0] });
  assertMatch(id, /^main\.ts@[0-9a-f]{16}$/);
  assertEquals(await here.run("main.ts"), { sum: 44 });
});

test("compiler: every form of import", async () => {
  await using here = await bench({
    "main.ts": `
      import main, * as all from "./other.ts";
      import { type Shape, value as renamed } from "./other.ts";
      import { Shape as Again } from "./types.ts";
      import data from "./data.json" with { type: "json" };
      import fs from "node:fs";
      import { join } from "path";
      export * from "./other.ts";
      export * as named from "./other.ts";
      export { default as again } from "./other.ts";
      const shape: Shape & Again = { a: 1 };
      export const got = [main(), renamed, Object.keys(all).sort(), data.list, typeof fs.readFileSync,
        join("a", "b"), shape.a];
      export const late = async () => (await import("./other.ts")).default();
      export default class Main {}`,
    "other.ts": `export interface Shape { a: number } export const value = 3;
      export default function main() { return "main" }`,
    "types.ts": `export interface Shape { a: number }`,
    "data.json": `{ "list": [1, "\u2028", { "__proto__": 2 }] }`,
  });
  const exports = await here.run("main.ts");
  assertEquals(exports.got, [
    "main",
    3,
    ["default", "value"],
    [1, "\u2028", JSON.parse('{"__proto__":2}')],
    "function",
    "a/b",
    1,
  ]);
  assertEquals(await (exports.late as () => Promise<string>)(), "main");
  assertEquals((exports.default as { name: string }).name, "Main");
  assertEquals((exports.again as () => string)(), "main");
  assertEquals([exports.value, (exports.named as { value: number }).value], [3, 3]);
  const { needs } = await here.compiler.find(await here.compile("main.ts"));
  assertEquals(needs.map((need) => need.split("@")[0]), ["other.ts", "data.json"]);
});

test("compiler: packages, CommonJS and not, and words of the nearest deno.json", async () => {
  await using here = await bench({
    "deno.json": `{ "imports": { "config": "npm:ssh-config@5.3.0", "~/": "./deep/" } }`,
    "deep/main.ts": `import SSHConfig, { parse } from "config"; import { one } from "~/one.ts";
      import * as distance from "npm:ssh-config@5.3.0";
      export const got = [SSHConfig.parse("Host a\\n Port 7").compute("a").Port, typeof parse,
        one, typeof distance.default.parse];`,
    "deep/one.ts": `export const one = 1;`,
  });
  assertEquals((await here.run("deep/main.ts")).got, ["7", "function", 1, "function"]);
  const { needs } = await here.compiler.find(await here.compile("deep/main.ts"));
  assertEquals(needs.length, 2);
  assert(![...Deno.readDirSync(here.dir.path)].some(({ name }) => /lock|node_modules/.test(name)));
});

test("compiler: a circle of imports", async () => {
  await using here = await bench({
    "a.ts": `import { b } from "./b.ts"; export const a = () => b() + 1;`,
    "b.ts":
      `import { a } from "./a.ts"; export const b = (): number => typeof a === "function" ? 1 : 0;`,
  });
  assertEquals(((await here.run("a.ts")).a as () => number)(), 2);
  const before = await here.compile("b.ts");
  await here.write({ "a.ts": `import { b } from "./b.ts"; export const a = () => b() + 2;` });
  assertEquals(((await here.run("a.ts")).a as () => number)(), 3);
  assertNotEquals(await here.compile("b.ts"), before);
});

test("compiler: warm until a file that it was made of changes", async () => {
  await using here = await bench({
    "main.ts": `import { b } from "./b.ts"; export const got = b;`,
    "b.ts": `export const b = 1;`,
    "other.ts": `import { b } from "./b.ts"; export const other = b;`,
  });
  const first = await here.compile("main.ts");
  const kept = await here.compiler.find(first);
  assertEquals(await here.compile("main.ts"), first);
  assertEquals(await here.compile("main.ts"), first);
  assert(await here.compiler.find(first) === kept);
  const [need] = kept.needs;
  assertEquals((await here.compiler.find(await here.compile("other.ts"))).needs, [need]);
  await here.write({ "b.ts": `export const b = 2222;` });
  const second = await here.compile("main.ts");
  assertNotEquals(second, first);
  assertEquals((await here.run("main.ts")).got, 2222);
  await Deno.remove(here.dir.join("b.ts"));
  const error = await assertRejects(() => here.compile("main.ts"), HoldfastError);
  assertMatch(error.message, /main\.ts:1:19": there is no module "\.\/b\.ts"$/);
  await here.write({ "b.ts": `export const b = 2222;` });
  assertEquals(await here.compile("main.ts"), second);
});

test("compiler: many who ask at once get one compilation", async () => {
  await using here = await bench({ "main.ts": `export const a = 1;` });
  const all = await Promise.all(Array.from({ length: 20 }, () => here.compile("main.ts")));
  assertEquals(new Set(all).size, 1);
});

test("compiler: places of a stack are those of the source, and what lies below is cut", async () => {
  await using here = await bench({
    "main.ts": `import { deep } from "./deep.ts";\n\ninterface Unused {\n  a: number;\n}\n\n` +
      `export function f(): void {\n  deep(() => {\n    throw new Error("x");\n  });\n}\n`,
    "deep.ts": `type Run = () => void;\n\nexport function deep(run: Run): void {\n  run();\n}\n`,
  });
  const { f } = await here.run("main.ts") as { f(): void };
  let stack = "";
  try {
    f();
  } catch (error) {
    stack = (error as Error).stack!;
  }
  const places = here.compiler.locate(stack).split("\n").slice(1)
    .map((line) => /\/(\w+\.ts):(\d+):\d+\)?$/.exec(line)?.slice(1).join(":"));
  assertEquals(places, ["main.ts:9", "deep.ts:4", "main.ts:8"]);
  assertEquals(
    here.compiler.locate("Error: x\n    at y (z.ts:1:1)"),
    "Error: x\n    at y (z.ts:1:1)",
  );
});

const broken: [string, Record<string, string>, string, RegExp][] = [
  ["a file that is not there", {}, "not_found", /main\.ts": it does not exist$/],
  ["a syntax error", { "main.ts": "\nlet a = ;" }, "usage", /main\.ts:2:9": Expression expected$/],
  [
    "a syntax error in what it imports",
    { "main.ts": `import "./b.ts";`, "b.ts": "\n\nlet a = ;" },
    "usage",
    /b\.ts:3:9": Expression expected$/,
  ],
  [
    "a bare word that nobody maps",
    { "main.ts": `\nimport "nowhere";` },
    "usage",
    /main\.ts:2:8": .*"nowhere"/,
  ],
  [
    "JSON that is none",
    {
      "main.ts": `import a from "./a.json" with { type: "json" }; export const b = a;`,
      "a.json": "{",
    },
    "usage",
    /a\.json": /,
  ],
  ["a directory", { "main.ts/x": "" }, "usage", /main\.ts": /],
  ["top-level await", { "main.ts": "await 1;" }, "usage", /main\.ts": Top-level await/],
  [
    "more than a frame can take",
    {
      "main.ts": `export const a = ${JSON.stringify(noise(3_000_000))};`,
    },
    "limit",
    /main\.ts": \d+ bytes/,
  ],
];

for (const [name, files, kind, message] of broken) {
  test(`compiler: ${name} is told`, async () => {
    await using here = await bench(files);
    const error = await assertRejects(() => here.compile("main.ts"), HoldfastError);
    assertEquals(error.kind, kind);
    assertMatch(error.message, message);
  });
}

test("compiler: what is no file is refused", async () => {
  const compiler = new ModuleCompiler();
  for (const url of ["https://example.org/a.ts", "data:text/javascript,1", "a.ts", "", "npm:x"]) {
    const error = await assertRejects(() => compiler.compile(url), HoldfastError);
    assertEquals(error.kind, "usage");
  }
});

/** Text that does not compress below three quarters. */
function noise(size: number): string {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  return Array.from(bytes, (byte) => (byte & 63) + 48).map((code) => String.fromCharCode(code))
    .join("").replaceAll("\\", "x");
}
