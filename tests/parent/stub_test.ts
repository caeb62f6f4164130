/** Connection methods whose tools cannot work here: a stub checks the exact words, and the bytes really flow. */

import { assertEquals, assertRejects } from "../support/assert.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { binary, converse, open, stub } from "./hop_fixture.ts";

interface Case {
  method: string;
  argument?: string;
  user?: string;
  /** The program, where it is not named like the method. */
  tool?: string;
  /** The words before the script. */
  words: string[];
  /** What the tool says, and what becomes of it; after a parenthesis with the tool's words. */
  failures: [says: string, kind: string, message: string][];
}

const engine: Case["failures"] = [
  ["Error response from daemon: No such container: x", "not_found", "there is no such container"],
  ["Got permission denied while trying to connect", "permission", "docker may not do this ("],
  [
    "Error: container abc is not running",
    "bootstrap",
    "docker ended with status 1 before any shell (",
  ],
  [
    "Cannot connect to the Docker daemon",
    "bootstrap",
    "docker ended with status 1 before any shell (",
  ],
];

const instances = (tool: string): Case["failures"] => [
  ["Error: Instance not found", "not_found", "there is no such instance"],
  ["dial unix: connect: permission denied", "permission", `${tool} may not do this (`],
  ["Error: Command not found", "bootstrap", `${tool} ended with status 1 before any shell (`],
];

const pods: Case["failures"] = [
  ['Error from server (NotFound): pods "x"', "not_found", "there is no such pod or container"],
  ["container x is not valid for pod y", "not_found", "there is no such pod or container"],
  ["Error from server (Forbidden): pods", "permission", "kubectl may not do this ("],
  ["error: container not found", "bootstrap", "kubectl ended with status 1 before any shell ("],
];

const run = ["--quiet", "--pipe", "--wait", "--collect", "--no-ask-password"];

const CASES: Case[] = [
  { method: "docker", argument: "web", words: ["exec", "-i", "--", "web"], failures: engine },
  {
    method: "docker",
    argument: "web",
    user: "app",
    words: ["exec", "-i", "-u", "app", "--", "web"],
    failures: [],
  },
  {
    method: "lxc",
    argument: "box",
    words: ["exec", "-T", "box", "--"],
    failures: instances("lxc"),
  },
  {
    method: "incus",
    argument: "box",
    words: ["exec", "-T", "box", "--"],
    failures: instances("incus"),
  },
  { method: "kubectl", argument: "web", words: ["exec", "-i", "pod/web", "--"], failures: pods },
  {
    method: "kubectl",
    argument: "shop/web",
    words: ["exec", "-i", "--namespace=shop", "pod/web", "--"],
    failures: [],
  },
  {
    method: "kubectl",
    argument: "shop/-x/side",
    words: ["exec", "-i", "--namespace=shop", "--container=side", "pod/-x", "--"],
    failures: [],
  },
  {
    method: "machinectl",
    tool: "systemd-run",
    words: [...run, "--machine=.host", "--"],
    failures: [
      ["Failed to connect to bus: Host is down", "not_found", "there is no such machine or user"],
      ["Failed to start unit: Access denied", "permission", "systemd-run may not do this ("],
    ],
  },
  {
    method: "machinectl",
    tool: "systemd-run",
    argument: "ann@box",
    words: [...run, "--machine=box", "--uid=ann", "--"],
    failures: [],
  },
];

for (const { method, argument, user, tool = method, words, failures } of CASES) {
  const place = argument === undefined ? method : `${method}=${argument}`;
  const name = user === undefined ? place : `${place} as ${user}`;

  test.needs("linux")(
    `${name}: the tool gets exactly its words, the shell every byte`,
    async () => {
      await using bin = await tempDir();
      // systemd halves doubled dollar signs.
      const halve = tool === "systemd-run" ? `s=$(echo "$1"|sed 's/[$][$]/$/g');set -- "$s"` : "";
      const host = await stub(bin, tool, {
        words: [...words, "sh", "-c"],
        then: `[ $# = 1 ]||exit 98;${halve}\nexec sh -c "$1"`,
      });
      const bytes = binary();
      const child = await open(host, { method, argument, user, line: 'echo "$SHELL";exec cat' });
      const { stdout } = await converse(child, bytes);
      const head = stdout.indexOf(10) + 1;
      assertEquals(stdout.subarray(head), bytes);
    },
  );

  for (const [says, kind, message] of failures) {
    test.needs("linux")(`${name}: "${says}" is ${kind}`, async () => {
      await using bin = await tempDir();
      await Deno.writeTextFile(bin.join("message"), says);
      const then = `cat ${bin.join("message")} >&2;exit 1`;
      const host = await stub(bin, tool, { words, then });
      const error = await assertRejects(() => open(host, { method, argument }), HoldfastError);
      const quoted = message.endsWith("(") ? `${message}${says})` : message;
      assertEquals([error.kind, error.message], [kind, `web1,${name}: ${quoted}`]);
    });
  }
}

test("lxc: refuses to become a user, which it cannot", async () => {
  await using bin = await tempDir();
  const host = await stub(bin, "lxc", { words: [], then: "exit 1" });
  const hop = { method: "lxc", argument: "box", user: "app" };
  const error = await assertRejects(() => open(host, hop), HoldfastError);
  assertEquals([error.kind, error.message], [
    "usage",
    'web1,lxc=box: lxc cannot become user "app"',
  ]);
});

test("kubectl: refuses what is no pod before anything runs", async () => {
  await using bin = await tempDir();
  const host = await stub(bin, "kubectl", { words: [], then: "exit 1" });
  for (const argument of ["a//b", "/a", "a/", "a/b/c/d"]) {
    const error = await assertRejects(
      () => open(host, { method: "kubectl", argument }),
      HoldfastError,
    );
    assertEquals(error.kind, "usage");
  }
});
