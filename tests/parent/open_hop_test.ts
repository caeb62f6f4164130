/** What all connection methods share: tools that fail, hang or lie, and every runtime as the parent. */

import { assert, assertEquals, assertRejects, assertStringIncludes } from "../support/assert.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import { openHop } from "../../lib/parent/open_hop.ts";
import type { PasswordQuestion } from "../../lib/parent/tool_talk.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { findExecutable, type Runtime } from "../support/tools.ts";
import { converse, hostWith, open, stub, type TestHopOptions } from "./hop_fixture.ts";

/** What a hop through a `podman` that runs `script` fails with. */
async function failing(
  script: string,
  options: Partial<TestHopOptions> = {},
): Promise<HoldfastError> {
  await using bin = await tempDir();
  const { method = "podman", argument = "box" } = options;
  const host = await stub(bin, method, { words: [], then: script });
  return await assertRejects(() => open(host, { ...options, method, argument }), HoldfastError);
}

test.needs("linux")("openHop: a tool that is not there", async () => {
  await using bin = await tempDir();
  const host = hostWith(bin.path, { only: true });
  const error = await assertRejects(
    () => open(host, { method: "podman", argument: "box" }),
    HoldfastError,
  );
  assertEquals([error.kind, error.message], [
    "not_found",
    "web1,podman=box: there is no program podman here",
  ]);
});

test("openHop: a method that is not there, and names that only look like one", async () => {
  for (const method of ["teleport", "constructor", "__proto__"]) {
    const error = await assertRejects(() => open(denoHost, { method }), HoldfastError);
    assertEquals(error.kind, "usage");
    assertStringIncludes(error.message, `web1,${method}: `);
  }
});

test.needs("linux")("openHop: a tool that ends at once, with its words made safe", async () => {
  const error = await failing("printf 'it is \\033[31mbroken\\nindeed\\n' >&2;exit 7");
  assertEquals([error.kind, error.message], [
    "bootstrap",
    "web1,podman=box: podman ended with status 7 before any shell (it is \\x1b[31mbroken; indeed)",
  ]);
});

test.needs("linux")("openHop: a tool that hangs is ended with all that it started", async () => {
  const error = await failing("sleep 1000 & sleep 1000", { deadline: 100 });
  assertEquals([error.kind, error.message], [
    "timeout",
    "web1,podman=box: no shell answered within 0.1 s",
  ]);
});

test.needs("linux")("openHop: a tool that ignores to be asked to end is killed", async () => {
  const error = await failing("trap '' TERM HUP;while :;do sleep 1;done", { deadline: 100 });
  assertEquals(error.kind, "timeout");
});

for (const stream of ["", " >&2"]) {
  test.needs("linux")(`openHop: a tool that prints without end${stream}`, async () => {
    const error = await failing(`while :;do echo "garbage: $$";done${stream}`);
    assertEquals(error.kind, "limit");
  });
}

test.needs("linux")(
  "openHop: a tool that quotes what it should run does not pass for it",
  async () => {
    const error = await failing('echo "$*";echo "$*" >&2;exit 1');
    assertEquals(error.kind, "bootstrap");
    assertEquals(error.message.includes("getent"), false, error.message);
  },
);

test.needs("linux")("openHop: a tool that leaves its output open and ends", async () => {
  const error = await failing("sleep 1000 2>&1 & exit 3", { deadline: 300 });
  assertEquals(error.kind, "timeout");
});

test.needs("linux")(
  "openHop: what the line says on stderr is its own, whichever stream comes first",
  async () => {
    for (const late of ["stdout", "stderr"]) {
      await using bin = await tempDir();
      const run = late === "stdout"
        ? 'o=$(sh -c "$s");echo "$o"'
        : 'exec 3>&1;o=$(sh -c "$s" 2>&1 >&3 3>&-);echo "$o" >&2';
      const host = await stub(bin, "podman", {
        words: [],
        then: `echo tool >&2;for s;do :;done;${run}`,
      });
      const line = "echo out;echo err >&2";
      const child = await open(host, { method: "podman", argument: "box", line });
      const { text, stderr } = await converse(child);
      assertEquals([text, stderr], ["out\n", "err\n"], late);
    }
  },
);

test.needs("linux")("openHop: noise of the tool stays out of the link", async () => {
  await using bin = await tempDir();
  const then = 'shift 4;echo noise;printf "no newline";printf "a: b: " >&2;exec "$@"';
  const host = await stub(bin, "podman", { words: [], then });
  const child = await open(host, { method: "podman", argument: "box", line: "echo here" });
  const { text, stderr } = await converse(child);
  assertEquals([text, stderr], ["here\n", ""]);
});

test.needs("linux")(
  "openHop: an answer is one line, and asks after a message are no questions",
  async () => {
    await using bin = await tempDir();
    const asked: PasswordQuestion[] = [];
    const host = await stub(bin, "sudo", {
      words: [],
      // As a C library writes it: in pieces.
      then: `printf 'sudo: ' >&2;printf 'cannot resolve host: ' >&2;echo x >&2
      printf 'Verification \\033[1mcode: ' >&2;read p;[ "$p" = 123 ]||exit 1;shift 7;exec "$@"`,
    });
    const options = { method: "sudo", passwords: ["123\nid"], asked };
    const child = await open(host, options);
    assertEquals((await converse(child, new TextEncoder().encode("x"))).text, "x");
    assertEquals(asked.map(({ prompt }) => prompt), ["Verification \\x1b[1mcode:"]);
  },
);

test.needs("linux")("openHop: a tool that cannot be made to speak English", async () => {
  const asked: PasswordQuestion[] = [];
  const error = await failing(
    `for i in 1 2 3;do printf '[sudo] Passwort für ann: ' >&2;read p
      echo 'Das hat nicht funktioniert, bitte nochmal probieren.' >&2;done
      echo 'sudo: 3 Fehlversuche bei der Passworteingabe' >&2;exit 1`,
    { method: "sudo", argument: "bob", passwords: ["s3cret"], asked },
  );
  assertEquals([error.kind, error.message], [
    "auth",
    "web1,sudo=bob: the password was refused",
  ]);
  assertEquals(asked.map(({ attempt }) => attempt), [1, 2, 3]);
});

test.needs("linux")("openHop: a terminal is wanted, and script is not there", async () => {
  await using bin = await tempDir();
  await Deno.symlink("/bin/sh", bin.join("sh"));
  const host = await stub(bin, "doas", {
    words: [],
    then: "echo 'doas: Authentication required' >&2;exit 1",
  });
  const only = { ...host, spawn: hostWith(bin.path, { only: true }).spawn };
  const error = await assertRejects(() => open(only, { method: "doas" }), HoldfastError);
  assertEquals([error.kind, error.message], [
    "bootstrap",
    "web1,doas: doas wants a terminal, and the program script (util-linux) is missing",
  ]);
});

test.needs("linux")("openHop: the time that a person takes does not count", async () => {
  await using bin = await tempDir();
  const host = await stub(bin, "su", {
    words: ["-s", "/bin/sh", "-c"],
    before: 'printf "Password: " >&2;read p',
    then: 'exec sh -c "$1"',
  });
  const deadline = 200;
  const child = await openHop(host, { method: "su", label: "su" }, {
    line: "exec cat",
    deadline,
    async ask() {
      // Answers when another hop has used up the same time.
      assertEquals((await failing("sleep 1000", { deadline })).kind, "timeout");
      return "secret";
    },
  });
  assertEquals((await converse(child, new TextEncoder().encode("x"))).text, "x");
});

test.needs("linux")("openHop: a caller who has gone before it began", async () => {
  const error = await failing("sleep 1000", { signal: AbortSignal.abort() });
  assertEquals(error.kind, "cancelled");
});

for (const runtime of ["node", "bun"] as Runtime[]) {
  test.needs("linux", runtime, "script")(`openHop: the parent may run on ${runtime}`, async () => {
    await using dir = await tempDir();
    const bundle = await Deno.bundle({
      entrypoints: [new URL("hop_parent.ts", import.meta.url).pathname],
      platform: "browser",
      format: "iife",
      write: false,
    });
    // As a first stage has it: a script, with node's `require`.
    await Deno.writeTextFile(dir.join("parent.cjs"), bundle.outputFiles![0].text());
    for (
      const terminal of ["", "[ -t 0 ]||{ echo 'su: must be run from a terminal' >&2;exit 1;}"]
    ) {
      await stub(dir, "su", {
        words: ["-s", "/bin/sh", "-c"],
        before: `${terminal}\nprintf 'Password: ' >&2;read p;[ "$p" = secret ]||exit 1`,
        then: 'exec sh -c "$1"',
      });
      const { success, stdout, stderr } = await new Deno.Command(findExecutable(runtime)!, {
        args: [
          "-e",
          `globalThis.require=require;require(${JSON.stringify(dir.join("parent.cjs"))})`,
        ],
        env: { PATH: `${dir.path}:${Deno.env.get("PATH")}` },
        stdin: "null",
      }).output();
      assert(success, new TextDecoder().decode(stderr));
      assertEquals(
        new TextDecoder().decode(stdout),
        `${runtime} attempt 1 of web1,su: Password:\nhello\nweb1,su=wrong: the password was refused\n`,
      );
    }
  });
}
