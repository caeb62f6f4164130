import { checkImports, parseTable } from "../../scripts/check_imports.ts";
import { assertEquals, assertThrows } from "../support/assert.ts";
import { REPOSITORY } from "../support/holdfast.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";

const README = `
| room      | what it is for | may import             |
| --------- | -------------- | ---------------------- |
| \`core/\`   | everywhere     | nothing outside itself |
| \`master/\` | the root       | core                   |
| \`daemon/\` | the server     | all of the above       |
| \`client/\` | the user's end | core                   |
| \`dropin/\` | ssh's words    | client, core           |
| \`cli/\`    | subcommands    | client, core           |
`;

/** Checks a tree that is in order but for the given files. */
async function check(files: Record<string, string>): Promise<string[]> {
  await using dir = await tempDir();
  const tree = {
    "deno.json": "{}",
    "lib/README.md": README,
    "main.ts": 'await import("./lib/cli/exec.ts");\n',
    "lib/cli/exec.ts": 'import "../client/connect.ts";\nawait import("../daemon/serve.ts");\n',
    "lib/client/connect.ts": 'import "../core/frame.ts";\n',
    "lib/dropin/ssh_command.ts": 'import "../core/frame.ts";\n',
    "lib/core/frame.ts": "export interface Frame {}\nexport const frame = 1;\n",
    "lib/master/dial.ts": 'import "node:net";\n',
    "lib/daemon/serve.ts": 'import "../master/dial.ts";\n',
    "tests/core/frame_test.ts": 'import "../../lib/core/frame.ts";\nimport "node:fs";\n',
    ...files,
  };
  for (const [path, text] of Object.entries(tree)) {
    const at = dir.join(path);
    await Deno.mkdir(at.slice(0, at.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(at, text);
  }
  return await checkImports(dir.path);
}

const cases: { name: string; files: Record<string, string>; expected: string[] }[] = [
  { name: "passes a tree in order", files: {}, expected: [] },
  {
    name: "refuses a room's import of another that its row lacks",
    files: { "lib/client/connect.ts": 'import "../daemon/serve.ts";\n' },
    expected: [
      "lib/cli/exec.ts: loads node:net by way of lib/client/connect.ts → lib/daemon/serve.ts → " +
      "lib/master/dial.ts, which the client path may not",
      "lib/client/connect.ts: imports lib/daemon/serve.ts, which room client may not",
    ],
  },
  {
    name: "counts type-only imports for rooms",
    files: {
      "lib/core/frame.ts":
        'import type { Dial } from "../master/dial.ts";\nexport type F = Dial;\n',
      "lib/master/dial.ts": "export interface Dial {}\n",
    },
    expected: ["lib/core/frame.ts: imports lib/master/dial.ts, which room core may not"],
  },
  {
    name: "counts a type-only import beside a dynamic one of the same file",
    files: {
      "lib/client/connect.ts":
        'import type { Dial } from "../master/dial.ts";\nawait import("../master/dial.ts") as Dial;\n',
      "lib/master/dial.ts": "export type Dial = unknown;\n",
    },
    expected: ["lib/client/connect.ts: imports lib/master/dial.ts, which room client may not"],
  },
  {
    name: "does not count type-only imports for the client path",
    files: {
      "lib/client/connect.ts": 'import type net from "node:net";\nexport type N = net.N;\n',
    },
    expected: [],
  },
  {
    name: "refuses a dynamic import that leaves a shipped room",
    files: { "lib/core/frame.ts": 'await import("../master/dial.ts");\n' },
    expected: ["lib/core/frame.ts: imports lib/master/dial.ts, which room core may not"],
  },
  {
    name: "refuses npm in a shipped room, even dynamically",
    files: { "lib/core/frame.ts": 'await import("npm:ssh2@1.17.0");\n' },
    expected: ["lib/core/frame.ts: imports npm:ssh2@1.17.0, which room core may not"],
  },
  {
    name: "refuses a mapped bare import on the client path",
    files: {
      "deno.json": '{ "imports": { "ssh2": "npm:ssh2@1.17.0" } }',
      "lib/cli/exec.ts": 'import "ssh2";\n',
    },
    expected: ["lib/cli/exec.ts: loads npm:ssh2@1.17.0, which the client path may not"],
  },
  {
    name: "refuses an unresolved bare import on the client path",
    files: { "lib/cli/exec.ts": 'import "ssh2";\n' },
    expected: ["lib/cli/exec.ts: loads unresolved:ssh2, which the client path may not"],
  },
  {
    name: "refuses a dynamic import without a literal",
    files: { "lib/cli/exec.ts": "const name = Deno.args[0];\nawait import(name);\n" },
    expected: ["lib/cli/exec.ts: imports what is no string literal, which only shipped rooms may"],
  },
  {
    name: "refuses lib's import of tests",
    files: { "lib/daemon/serve.ts": 'import "../../tests/core/frame_test.ts";\n' },
    expected: ["lib/daemon/serve.ts: imports tests/core/frame_test.ts, which room daemon may not"],
  },
  {
    name: "refuses a cycle, of types too, once",
    files: {
      "lib/core/frame.ts": 'import type { L } from "./link.ts";\nexport type F = L;\n',
      "lib/core/link.ts": 'import "./route.ts";\nexport type L = 1;\n',
      "lib/core/route.ts": 'import "./frame.ts";\n',
    },
    expected: [
      "lib/core/frame.ts: imports itself by way of lib/core/link.ts → lib/core/route.ts → " +
      "lib/core/frame.ts",
    ],
  },
  {
    name: "refuses an unknown room",
    files: { "lib/attic/old.ts": "export {};\n" },
    expected: ["lib/attic/old.ts: lies in room attic, which lib/README.md does not have"],
  },
  {
    name: "refuses an unknown top-level entry but not a dot-file",
    files: { "notes.txt": "", ".gitignore": "" },
    expected: ["notes.txt: stands at the top level, where only known entries may"],
  },
];

for (const { name, files, expected } of cases) {
  test(`check imports: ${name}`, async () => assertEquals(await check(files), expected));
}

test("check imports: reports a client path that is gone", async () => {
  await using dir = await tempDir();
  await Deno.mkdir(dir.join("lib"));
  await Deno.writeTextFile(dir.join("lib/README.md"), README);
  assertEquals(await checkImports(dir.path), [
    "lib/cli/exec.ts: is missing, but the client path is checked from it",
    "lib/dropin/ssh_command.ts: is missing, but the client path is checked from it",
    "main.ts: is missing, but the client path is checked from it",
  ]);
});

test("check imports: reads the table of lib/README.md", async () => {
  const table = parseTable(await Deno.readTextFile(`${REPOSITORY}/lib/README.md`));
  assertEquals([...table.get("core")!], ["core"]);
  assertEquals([...table.get("cli")!].sort(), ["cli", "client", "core", "files", "rendezvous"]);
  assertEquals(table.get("daemon")!.has("master"), true);
});

test("check imports: refuses a table that names an unknown room", () => {
  const error = assertThrows(() => parseTable("| `core/` | x | attic |"), Error);
  assertEquals(error.message, 'Cannot read lib/README.md: room "core" names "attic"');
});
