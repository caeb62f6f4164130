/**
 * The executable's frame, as a real process: words to a subcommand, outcome to exit status and text. An
 * import map puts a stub in the place of one subcommand, so that every kind of outcome can be had.
 */

import { COMMANDS } from "../../lib/cli/command_table.ts";
import { VERSION } from "../../lib/rendezvous/version.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { tempDir } from "../support/temp.ts";

const ROOT = new URL("../../", import.meta.url);

interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

interface RunOptions {
  /** Arguments for `deno run`, before `main.ts`. */
  flags?: string[];
  env?: Record<string, string>;
}

async function holdfast(
  args: string[],
  { flags = [], env = {} }: RunOptions = {},
): Promise<Outcome> {
  const main = new URL("main.ts", ROOT).pathname;
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", ...flags, main, ...args],
    env: { NO_COLOR: "1", HOLDFAST_DEBUG: "", ...env },
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return {
    status: output.code,
    stdout: text.decode(output.stdout),
    stderr: text.decode(output.stderr),
  };
}

Deno.test("main: words that are no subcommand are answered", async (t) => {
  const cases: [args: string[], status: number, stdout: RegExp, stderr: RegExp][] = [
    [[], 2, /^$/, /^Usage: holdfast COMMAND[^]*\n {2}exec +run a command/],
    [["help"], 0, /^Usage: holdfast COMMAND/, /^$/],
    [["--help"], 0, /^Usage: holdfast COMMAND/, /^$/],
    [["-h"], 0, /^Usage: holdfast COMMAND/, /^$/],
    [
      ["--version"],
      0,
      new RegExp(`^holdfast ${VERSION} \\(source tree, protocol 1, deno [\\d.]+\\)\n$`),
      /^$/,
    ],
    [
      ["exce", "web1"],
      2,
      /^$/,
      /^holdfast: Cannot read command "exce": .* did you mean "exec"\?\n$/,
    ],
    [["help", "statsu"], 2, /^$/, /^holdfast: .* did you mean "status"\?\n$/],
    [
      ["frobnicate"],
      2,
      /^$/,
      /^holdfast: Cannot read command "frobnicate": (?!.*did you mean).*\n$/,
    ],
    [["--verison"], 2, /^$/, /^holdfast: Cannot read option "--verison": .*"--version"\?\n$/],
    [["--frobnicate"], 2, /^$/, /^holdfast: (?!.*did you mean).*\n$/],
    [["constructor"], 2, /^$/, /^holdfast: Cannot read command "constructor"/],
    [[""], 2, /^$/, /^holdfast: Cannot read command ""/],
    [["a\n\x1b[31m"], 2, /^$/, /^holdfast: Cannot read command "a\\n\\u001b\[31m": .*\n$/],
  ];
  for (const [args, status, stdout, stderr] of cases) {
    await t.step(JSON.stringify(args), async () => {
      const outcome = await holdfast(args);
      assertMatch(outcome.stderr, stderr);
      assertMatch(outcome.stdout, stdout);
      assertEquals(outcome.status, status);
    });
  }
});

/** A subcommand whose first argument says how it ends. */
function stub(root: URL): string {
  return `
    import { HoldfastError } from "${new URL("lib/core/errors.ts", root)}";
    import { COMMON_OPTIONS, parseOptions } from "${new URL("lib/cli/options.ts", root)}";
    export const usage = "holdfast status [options] HOW";
    export const options = COMMON_OPTIONS;
    const never = new Promise((resolve) => setTimeout(resolve, 60_000));
    const ends = {
      args: async (words) => (console.log(JSON.stringify(words)), 0),
      status: async ([text]) => Number(text),
      usage: async () => { throw new HoldfastError("usage", "Cannot read it\\nwrite it well"); },
      auth: async () => { throw new HoldfastError("auth", "Cannot log in \\x1b[2J\\u202e"); },
      internal: async () => { throw new HoldfastError("internal", "odd"); },
      defect: async () => { throw new TypeError("boom"); },
      word: async () => { throw "a word"; },
      rejection: async () => { Promise.reject(new Error("lost")); await never; },
      timer: async () => { setTimeout(() => { throw new Error("late"); }); await never; },
      pipe: async () => { while (true) Deno.stdout.writeSync(new Uint8Array(65536)); },
    };
    export async function run(args) {
      const { positionals: [how, ...words] } = await parseOptions(args, options, { stopAtFirstPositional: true });
      return await ends[how](words);
    }`;
}

Deno.test("main: a subcommand's outcome becomes the exit status and at most one message", async (t) => {
  await using dir = await tempDir();
  const flags = await stubStatus(dir.path);
  const cases: [args: string[], status: number, stdout: string, stderr: RegExp][] = [
    [["args", "-h", "--help", "--", "x y"], 0, '["-h","--help","--","x y"]\n', /^$/],
    [["status", "0"], 0, "", /^$/],
    [["status", "143"], 143, "", /^$/],
    [["usage"], 2, "", /^holdfast: Cannot read it\nwrite it well\n$/],
    [["--debgu", "usage"], 2, "", /^holdfast: Cannot read option "--debgu".*"--debug"\?\n$/],
    [["auth"], 255, "", /^holdfast: Cannot log in \\x1b\[2J\\u\{202e\}\n$/],
    [["internal"], 255, "", /^holdfast: internal error: odd\n$/],
    [["defect"], 255, "", /^holdfast: internal error: boom\n$/],
    [["defect", "--", "--debug"], 255, "", /^holdfast: internal error: boom\n$/],
    [["--debug", "defect"], 255, "", /^holdfast: internal error: boom\nTypeError: boom\n +at /],
    [["word"], 255, "", /^holdfast: internal error: a word\n$/],
    [["rejection"], 255, "", /^holdfast: internal error: lost\n$/],
    [["timer"], 255, "", /^holdfast: internal error: late\n$/],
  ];
  for (const [args, status, stdout, stderr] of cases) {
    await t.step(JSON.stringify(args), async () => {
      const outcome = await holdfast(["status", ...args], { flags });
      assertMatch(outcome.stderr, stderr);
      assertEquals(outcome.stdout, stdout);
      assertEquals(outcome.status, status);
    });
  }
  await t.step("HOLDFAST_DEBUG=1 tells more", async () => {
    const { stderr } = await holdfast(["status", "defect"], {
      flags,
      env: { HOLDFAST_DEBUG: "1" },
    });
    assertMatch(stderr, /^holdfast: internal error: boom\nTypeError: boom\n +at /);
  });
  await t.step("its help, asked for in three ways, is one text", async () => {
    const asked = [["status", "--help"], ["status", "-h"], ["help", "status"]];
    for (
      const { status, stdout, stderr } of await Promise.all(
        asked.map((a) => holdfast(a, { flags })),
      )
    ) {
      assertEquals([status, stderr], [0, ""]);
      assertMatch(
        stdout,
        /^Usage: holdfast status \[options\] HOW\n[^]*\n {2}-h, --help {2,}print/,
      );
    }
  });
  await t.step("a reader that goes away is no error worth a word", async () => {
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", ...flags, new URL("main.ts", ROOT).pathname, "status", "pipe"],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    await process.stdout.cancel();
    const stderr = await new Response(process.stderr).text();
    assertEquals([(await process.status).code, stderr], [141, ""]);
  });
});

/** Writes the stub and an import map that has it loaded for `status`; resolves to deno's arguments. */
async function stubStatus(directory: string): Promise<string[]> {
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  imports[new URL("lib/cli/status.ts", ROOT).href] = `file://${directory}/status.ts`;
  await Deno.writeTextFile(`${directory}/status.ts`, stub(ROOT));
  await Deno.writeTextFile(`${directory}/map.json`, JSON.stringify({ imports }));
  return [`--import-map=${directory}/map.json`, "--no-check"];
}

for (const [name, { summary, load }] of Object.entries(COMMANDS)) {
  Deno.test(`command table: ${name} is loaded, says how it is called, and names no option twice`, async () => {
    const module = await load();
    assertEquals(typeof module.run, "function");
    assertMatch(module.usage, new RegExp(`^holdfast ${name}\\b`));
    assert(!summary.endsWith("."));
    const specs = Object.values(module.options);
    const forms = specs.flatMap(({ long, short }) => [
      ...(long === undefined ? [] : [`--${long}`]),
      ...(short === undefined ? [] : [`-${short}`]),
    ]);
    assertEquals(forms.length, new Set(forms).size, forms.join(" "));
    for (const { help, short, long } of specs) {
      assert(help !== "" && !/[\n.]$/.test(help), help);
      assert(short !== undefined || long !== undefined, help);
      assert(short === undefined || [...short].length === 1, short);
    }
  });
}

Deno.test("main: its static closure has no node: and no npm:", async () => {
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", new URL("main.ts", ROOT).pathname],
    stderr: "null",
  }).output();
  const { modules, roots } = JSON.parse(new TextDecoder().decode(output.stdout));
  const seen = new Set<string>();
  const visit = (specifier: string) => {
    if (seen.has(specifier)) return;
    seen.add(specifier);
    const module = modules.find((m: { specifier: string }) => m.specifier === specifier);
    for (const { code, isDynamic } of module?.dependencies ?? []) {
      if (!isDynamic && code) visit(code.specifier);
    }
  };
  roots.forEach(visit);
  const outside = [...seen].filter((specifier) => !specifier.startsWith("file:"));
  assertEquals(outside, []);
  assert(seen.size <= 4, `${seen.size} modules: ${[...seen].join(" ")}`);
  assertStringIncludes([...seen].join(" "), "command_table.ts");
});

Deno.test("main: an argument that is not UTF-8 is refused, not changed", async () => {
  const main = new URL("main.ts", ROOT).pathname;
  // ssh has one status for all of its own.
  for (const [name, status] of [["exec", 2], ["ssh", 255]] as const) {
    const script = `exec "$0" run -A --quiet "$1" ${name} local -- "$(printf "\\377")"`;
    const { code, stderr } = await new Deno.Command("sh", {
      args: ["-c", script, Deno.execPath(), main],
    }).output();
    assertEquals(code, status);
    const text = new TextDecoder().decode(stderr);
    assertMatch(text, /^holdfast: Cannot read argument .* not valid UTF-8\n$/);
  }
});

Deno.test("main: a stderr that takes nothing keeps it from no end", async () => {
  const main = new URL("main.ts", ROOT).pathname;
  const { code } = await new Deno.Command("timeout", {
    args: ["-k1", "30", "sh", "-c", 'exec "$0" run -A "$1" exec --nonsense 2>/dev/full'].concat(
      [Deno.execPath(), main],
    ),
  }).output();
  assertEquals(code, 2);
});
