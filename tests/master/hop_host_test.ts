/** The line that starts a process behind a hop's tool, in the shells that may read it. */
import { hopLine } from "../../lib/master/hop_host.ts";
import { assertEquals, assertMatch } from "../support/assert.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { findExecutable } from "../support/tools.ts";

const WORDS = ["a  b", "", "new\nline\n", "$HOME `id`", "'\"\\", "\\'", "!!", "*", "-n", "%s", "é"];

/** What `line` prints in a shell that leads no group, as a tool starts it. */
async function run(
  line: string,
  { shell = ["sh"], env = {} }: { shell?: string[]; env?: Record<string, string> } = {},
) {
  const { code, stdout, stderr } = await new Deno.Command(findExecutable("sh")!, {
    args: ["-c", '"$@"; exit $?', "sh", ...shell, "-c", line],
    env: { SHELL: "/bin/sh", ...env },
  }).output();
  const [text, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, text, errors };
}

for (const name of ["dash", "bash", "ksh", "busybox"]) {
  test.needs("linux", "setsid", name)(`hopLine: every word arrives through ${name}`, async () => {
    const shell = [findExecutable(name)!, ...name === "busybox" ? ["sh"] : []];
    const words = ["sh", "-c", 'printf "%s|" "$PWD" "$HF_X" "$@"; exit 7', "sh", ...WORDS];
    const env = { HF_X: "it's\n$x" };
    const line = hopLine({ command: words, cwd: "/usr", env }, "token");
    const { code, text, errors } = await run(line, { shell });
    const wanted = ["/usr", env.HF_X, ...WORDS].map((word) => `${word}|`).join("");
    assertEquals([code, text.replace(/^token -\d+\n/, ""), errors], [7, wanted, ""]);
    // Once more inside, as for a hop behind a hop.
    const inner = hopLine({ command: ["sh", "-c", line] }, "outer");
    const nested = await run(inner, { shell });
    assertEquals(nested.text.replace(/^outer -\d+\ntoken -\d+\n/, ""), wanted);
  });
}

test.needs("linux", "setsid")("hopLine: the process leads its group, and says so", async () => {
  const line = hopLine({ command: ["sh", "-c", "echo $$; ps -o pgid= -p $$"] }, "token");
  const [announced, pid, group] = (await run(line)).text.split("\n");
  assertEquals([announced, group.trim()], [`token -${pid}`, pid]);
});

test.needs("linux")("hopLine: without setsid it names itself alone", async () => {
  await using bin = await tempDir();
  for (const name of ["sh", "env"]) await Deno.symlink(findExecutable(name)!, bin.join(name));
  const line = hopLine({ command: ["sh", "-c", "echo $$"] }, "token");
  const { text } = await run(line, { env: { PATH: bin.path } });
  const [announced, pid] = text.split("\n");
  assertEquals(announced, `token ${pid}`);
});

test.needs("linux")("hopLine: a command line is the login shell's, by its name", async () => {
  const line = hopLine({ command: 'echo "$0 it\'s"; no-such-command' }, "token");
  const { code, text, errors } = await run(line, { env: { SHELL: "/bin/bash" } });
  assertMatch(text, /^token -?\d+\nbash it's\n$/);
  assertMatch(errors, /^bash: line 1: no-such-command: /);
  assertEquals(code, 127);
});

test.needs("linux")("hopLine: a directory that is not there is told", async () => {
  const { code, errors } = await run(hopLine({ command: ["true"], cwd: "/nowhere" }, "token"));
  assertEquals(code, 255);
  assertMatch(errors, /\/nowhere/);
});
