/** `holdfast exec --json`: one line says how it ended, and whether the command or the transport failed. */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { Workspace } from "../support/holdfast.ts";
import { test } from "../support/test.ts";

async function execJson(workspace: Workspace, args: string[], stdin?: string) {
  const { code, stdout, stderr } = await workspace.run("exec", ["--json", ...args], { stdin });
  assertEquals(stderr, "");
  assert(stdout.endsWith("}\n") && stdout.indexOf("\n") === stdout.length - 1);
  const line = JSON.parse(stdout);
  assertEquals(line.rc, code);
  return line;
}

test("exec --json: tells the command's status, output and signal", async () => {
  await using workspace = await Workspace.create();
  const exited = await execJson(
    workspace,
    ["local", "--", "cat; echo err >&2; exit 3"],
    "in\ufeff",
  );
  const expected = { rc: 3, stdout: "in\ufeff", stderr: "err\n", signal: null, error: null };
  assertEquals(exited, expected);
  const killed = await execJson(workspace, ["-n", "local", "--", "printf '\\377x'; kill -TERM $$"]);
  assertEquals(killed, {
    rc: 143,
    stdout: "\ufffdx",
    stdout_base64: "/3g=",
    stderr: "",
    signal: "SIGTERM",
    error: null,
  });
});

test("exec --json: what the transport or the words did is the error", async () => {
  await using workspace = await Workspace.create();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const lost = await execJson(workspace, ["-p", String(port), "127.0.0.1", "--", "true"]);
  assertEquals([lost.rc, lost.stdout, lost.stderr, lost.signal], [255, "", "", null]);
  assertEquals(lost.error.kind, "connect");
  const refused = await execJson(workspace, ["a b", "--", "true"]);
  assertEquals([refused.rc, refused.error.kind], [2, "usage"]);
  const late = await execJson(workspace, ["--timeout", "0.5", "local", "--", "echo x; sleep 300"]);
  assertEquals([late.rc, late.stdout, late.error.kind], [255, "x\n", "timeout"]);
});

test("exec --json: output over the bound ends the command and is told", async () => {
  await using workspace = await Workspace.create();
  const over = await execJson(workspace, [
    "-n",
    "local",
    "--",
    "yes | head -c 70000000; sleep 300",
  ]);
  assertEquals([over.rc, over.error.kind], [255, "limit"]);
  assertStringIncludes(
    over.error.description,
    "more than 64 MiB; run the command with holdfast exec",
  );
});
