/** The option grammar: what getopt and ssh would read is read, and every mistake is named in one line. */

import { HoldfastError } from "../../lib/core/errors.ts";
import { commandHelp } from "../../lib/cli/help.ts";
import { nearest } from "../../lib/rendezvous/nearest.ts";
import {
  assignment,
  COMMON_OPTIONS,
  HelpRequested,
  integer,
  JSON_OPTION,
  optionName,
  type OptionTable,
  parseOptions,
  seconds,
  SSH_OPTIONS,
  TIMEOUT_OPTION,
} from "../../lib/cli/options.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "../support/assert.ts";

const table = {
  env: {
    long: "env",
    value: "NAME=VALUE",
    repeatable: true,
    parse: assignment,
    help: "set a variable",
  },
  terminal: { short: "t", repeatable: true, help: "give it a terminal" },
  verbose: { short: "v", long: "verbose", help: "say more" },
  lines: {
    short: "n",
    long: "lines",
    value: "COUNT",
    parse: integer({ min: 0, max: 9 }),
    help: "how many",
  },
  ...TIMEOUT_OPTION,
  ...JSON_OPTION,
  ...SSH_OPTIONS,
  ...COMMON_OPTIONS,
} satisfies OptionTable;

const ABSENT = {
  env: [],
  terminal: 0,
  verbose: false,
  lines: undefined,
  timeout: undefined,
  json: false,
  configFile: undefined,
  identityFiles: [],
  port: undefined,
  user: undefined,
  jump: undefined,
  provision: undefined,
  openssh: false,
  passwordCommand: undefined,
  options: [],
  help: false,
  debug: false,
};

const READABLE: [args: string[], options: Record<string, unknown>, positionals: string[]][] = [
  [[], {}, []],
  [["--env", "K=V", "--env=L=a=b", "--env=M="], { env: [["K", "V"], ["L", "a=b"], ["M", ""]] }, []],
  [["-p22"], { port: 22 }, []],
  [["-p", "22"], { port: 22 }, []],
  [["-oKey=V", "-o", "K2 v"], { options: ["Key=V", "K2 v"] }, []],
  [["-tt"], { terminal: 2 }, []],
  [["-t", "-t", "-t"], { terminal: 3 }, []],
  [["-vtp22"], { verbose: true, terminal: 1, port: 22 }, []],
  [["-vn", "3"], { verbose: true, lines: 3 }, []],
  [["-ik1", "-i", "k2"], { identityFiles: ["k1", "k2"] }, []],
  [["-F", "cfg", "-lann", "-J", "b1,b2"], { configFile: "cfg", user: "ann", jump: "b1,b2" }, []],
  [["-p22", "-p", "23"], { port: 23 }, []],
  [["--lines=1", "-n2"], { lines: 2 }, []],
  [["--timeout", "1.5", "--json"], { timeout: 1500, json: true }, []],
  [["a", "--json", "b"], { json: true }, ["a", "b"]],
  [["a", "--", "--json", "-p"], {}, ["a", "--json", "-p"]],
  [["--", "--"], {}, ["--"]],
  [["-", "-v"], { verbose: true }, ["-"]],
  [["--provision", "always"], { provision: "always" }, []],
  [["-p", "7", ""], { port: 7 }, [""]],
];

for (const [args, options, positionals] of READABLE) {
  Deno.test(`options: ${JSON.stringify(args)} is read`, async () => {
    assertEquals(await parseOptions(args, table), {
      options: { ...ABSENT, ...options },
      positionals,
    });
  });
}

const UP_TO_TARGET: [args: string[], json: boolean, positionals: string[]][] = [
  [["web1", "ls", "-l", "--json"], false, ["web1", "ls", "-l", "--json"]],
  [["--json", "web1", "--", "ls", "--", "-l"], true, ["web1", "ls", "--", "-l"]],
  [["web1", "--", "--", "x"], false, ["web1", "--", "x"]],
  [["--", "web1", "--", "x"], false, ["web1", "x"]],
  [["--", "-web1", "x"], false, ["-web1", "x"]],
  [["--json", "--"], true, []],
  [["web1", "--"], false, ["web1"]],
  [["web1", "--jsno"], false, ["web1", "--jsno"]],
  [["web1", "", "--"], false, ["web1", "", "--"]],
];

for (const [args, json, positionals] of UP_TO_TARGET) {
  Deno.test(`options up to TARGET: ${JSON.stringify(args)} leaves the command verbatim`, async () => {
    const given = [...args];
    const read = await parseOptions(given, table, { stopAtFirstPositional: true });
    assertEquals(read.options.json, json);
    assertEquals(read.positionals, positionals);
    assertEquals(given, args, "the caller's words stay as they are");
  });
}

const UNREADABLE: [args: string[], message: string][] = [
  [["--jsno"], 'Cannot read option "--jsno": there is no such option; did you mean "--json"?'],
  [
    ["--jsno=secret"],
    'Cannot read option "--jsno": there is no such option; did you mean "--json"?',
  ],
  [["-json"], 'Cannot read option "-json": there is no option "-j"; did you mean "--json"?'],
  [["--frobnicate"], 'Cannot read option "--frobnicate": there is no such option'],
  [["--__proto__"], 'Cannot read option "--__proto__": there is no such option'],
  [["-x"], 'Cannot read option "-x": there is no such option'],
  [["-vx"], 'Cannot read option "-vx": there is no option "-x"'],
  [["--port", "22"], 'Cannot read option "--port": there is no such option'],
  [["--env"], 'Cannot read option "--env": it needs a value; write --env NAME=VALUE'],
  [["-tp"], 'Cannot read option "-p": it needs a value; write -p PORT'],
  [["--json=yes"], 'Cannot read option "--json": it takes no value'],
  [["--json="], 'Cannot read option "--json": it takes no value'],
  [["-p0"], 'Cannot read option "-p": "0" is not a whole number from 1 to 65535'],
  [["-p", "65536"], 'Cannot read option "-p": "65536" is not a whole number from 1 to 65535'],
  [["-p", "22x"], 'Cannot read option "-p": "22x" is not a whole number from 1 to 65535'],
  [["-p", "--json"], 'Cannot read option "-p": "--json" is not a whole number from 1 to 65535'],
  [["--lines", ""], 'Cannot read option "--lines": "" is not a whole number from 0 to 9'],
  [["--env", "1K=V"], 'Cannot read option "--env": "1K=V" is not NAME=VALUE'],
  [["--env", "KV"], 'Cannot read option "--env": "KV" is not NAME=VALUE'],
  [["-l", "-oProxyCommand=id"], 'Cannot read option "-l": "-oProxyCommand=id" begins with "-"'],
  [["-l", ""], 'Cannot read option "-l": its value is empty'],
  [["--timeout", "0"], "is not a number of seconds above 0 and up to 2147483"],
  [["--timeout", "1e3"], '"1e3" is not a number of seconds'],
  [["--timeout", "9999999"], '"9999999" is not a number of seconds'],
  [["--js\n\x1b[31mno"], 'Cannot read option "--js\\n\\u001b[31mno": there is no such option'],
];

for (const [args, message] of UNREADABLE) {
  Deno.test(`options: ${JSON.stringify(args)} is a usage error of one line`, async () => {
    const error = await assertRejects(() => parseOptions(args, table), HoldfastError);
    assertEquals(error.kind, "usage");
    assertStringIncludes(error.message, message);
    if (!message.includes("did you mean")) assert(!error.message.includes("did you mean"));
    assert(!error.message.includes("\n"));
    assert(!error.message.includes("secret"), "the value of an unknown option may be a secret");
  });
}

Deno.test("options: a value's length does not make the error long", async () => {
  const error = await assertRejects(() => parseOptions(["-p", "9".repeat(1e5)], table));
  assert(error instanceof HoldfastError && error.message.length < 300);
});

Deno.test("options: a defect in a parse function is not taken for the user's mistake", async () => {
  const broken = {
    x: {
      short: "x",
      value: "X",
      help: "break",
      parse: () => (undefined as unknown as string[])[0],
    },
  } satisfies OptionTable;
  await assertRejects(() => parseOptions(["-x1"], broken), TypeError);
});

Deno.test("options: help is asked for by --help and -h, before TARGET only", async () => {
  for (const args of [["--help"], ["-h"], ["-vh"], ["--json", "--help", "--jsno"]]) {
    await assertRejects(() => parseOptions(args, table), HelpRequested);
  }
  const read = await parseOptions(["web1", "-h"], table, { stopAtFirstPositional: true });
  assertEquals(read.positionals, ["web1", "-h"]);
});

Deno.test("options: the result is typed by the table", async () => {
  const { options } = await parseOptions(["-p22"], table);
  const typed: {
    env: [name: string, value: string][];
    terminal: number;
    json: boolean;
    port: number | undefined;
    user: string | undefined;
    identityFiles: string[];
    timeout: number | undefined;
  } = options;
  assertEquals(typed.port, 22);
});

Deno.test("seconds: decimals become whole milliseconds", () => {
  for (const [text, ms] of [["1", 1000], ["0.25", 250], [".5", 500], ["2147483", 2147483000]]) {
    assertEquals(seconds(text as string), ms as number);
  }
  for (const text of ["", "-1", "0", "0.0001", "Infinity", "1.", "1 ", "0x10"]) {
    assertThrows(() => seconds(text), RangeError, "number of seconds");
  }
});

Deno.test("help: every option of the table stands in it once, with its value and its line", () => {
  const text = commandHelp("do a thing", {
    usage: "holdfast thing [options] TARGET",
    options: table,
  });
  assertStringIncludes(text, "Usage: holdfast thing [options] TARGET\n\nDo a thing.\n\nOptions:\n");
  for (const spec of Object.values<OptionTable[string]>(table)) {
    const lines = text.split("\n").filter((line) =>
      ` ${line} `.replaceAll(",", " ").includes(` ${optionName(spec)} `)
    );
    assertEquals(lines.length, 1, optionName(spec));
    assertStringIncludes(lines[0], spec.help);
    if (spec.value) assertStringIncludes(lines[0], ` ${spec.value} `);
  }
  assertMatch(text, /^ {2}-n, --lines COUNT {2,}how many$/m);
});

Deno.test("nearest: a slip is forgiven, nonsense is not", async () => {
  const names = ["exec", "put", "fetch", "status", "stop", "disconnect", "help"];
  const cases: [string, string | undefined][] = [
    ["exce", "exec"],
    ["EXEC", "exec"],
    ["statsu", "status"],
    ["disconect", "disconnect"],
    ["pu", "put"],
    ["cat", undefined],
    ["x", undefined],
    ["", undefined],
    ["frobnicate", undefined],
    ["exec".repeat(100_000), undefined],
  ];
  for (const [word, expected] of cases) {
    assertEquals(await nearest(word, names), expected, word.slice(0, 20));
  }
  assertEquals(await nearest("json", []), undefined);
});
