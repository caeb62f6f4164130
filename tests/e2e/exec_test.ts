/**
 * `exec` over a real sshd: one suite for targets with deno, with node, with bun and with nothing, which must all
 * do what ssh does.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";
import { programOf } from "../support/tools.ts";

const encoder = new TextEncoder();

for (const runtime of ["deno", "node", "node18", "bun", "none", "none, behind sudo"] as const) {
  const direct = runtime === "none" || runtime === "none, behind sudo";
  const needs = runtime === "none" ? [] : direct ? ["sudo"] : [runtime];
  const what = runtime.replace("none", "no runtime");
  test.needs("sshd", "namespaces", ...needs)(`exec: as ssh does, on ${what}`, async (t) => {
    await using sshd = await startSshd({ banner: "Keep out\n\x1b[31m" });
    await using account = await createAccount({
      runtimes: direct ? [] : [runtime],
      sudo: "nopasswd",
      profile: "echo noise; echo more noise >&2\n",
    });
    // A profile that also speaks to commands is a login shell's own affair, as under ssh.
    await account.write(".bashrc", "");
    await using workspace = await Workspace.create();
    await workspace.addHost("target", { user: account.name, port: sshd.port });
    await workspace.trust(sshd);
    // To the same account, so that the same things can be seen.
    const target = runtime === "none, behind sudo" ? `target,sudo=${account.name}` : "target";
    const exec = (args: string[], options = {}) => workspace.run("exec", args, options);

    await t.step("the first command, cold", async () => {
      const { code, stdout, stderr } = await exec([target, "echo", "out;", "echo err >&2"]);
      assertEquals({ code, stdout, stderr }, { code: 0, stdout: "out\n", stderr: "err\n" });
    });

    await t.step("the context is what the target allows", async () => {
      await exec([target, "true"]);
      const status = JSON.parse((await workspace.run("status", ["--json"])).stdout);
      const { state, runtime: found } = status.connections.at(-1);
      const expected = direct ? ["direct", null] : ["ready", programOf(runtime)];
      assertEquals([state, found], expected);
    });

    await t.step("exit status, and 128+N for a signal", async () => {
      assertEquals((await exec([target, "exit 3"])).code, 3);
      assertEquals((await exec([target, "kill -TERM $$"])).code, 143);
      assertEquals((await exec([target, "kill -9 $$"])).code, 137);
    });

    await t.step("stdin and stdout carry 5 MiB of anything", async () => {
      const bytes = randomBytes(5 * 1024 * 1024);
      const { code, stdoutBytes } = await exec([target, "cat"], { stdin: bytes });
      assertEquals([code, await sha256(stdoutBytes)], [0, await sha256(bytes)]);
    });

    await t.step("output comes while the command runs", async () => {
      await using process = await workspace.spawn("exec", [
        target,
        "printf first; read answer; printf $answer; printf last >&2",
      ]);
      const reader = process.stdout.getReader();
      assertEquals(new TextDecoder().decode((await reader.read()).value), "first");
      const writer = process.stdin.getWriter();
      await writer.write(encoder.encode("second\n"));
      assertEquals(new TextDecoder().decode((await reader.read()).value), "second");
      await writer.close();
      assertEquals(await new Response(process.stderr).text(), "last");
      assertEquals((await reader.read()).done, true);
      assertEquals((await process.status).code, 0);
    });

    await t.step("no input, no output, closed ends", async () => {
      assertEquals((await exec(["-n", target, "cat"], { stdin: "unread" })).stdout, "");
      assertEquals((await exec([target, "true"], { stdin: "" })).stdoutBytes.length, 0);
      const early = await exec([target, "exec <&-; echo done"], { stdin: randomBytes(3 << 20) });
      assertEquals([early.code, early.stdout], [0, "done\n"]);
      const silent = await exec([target, "exec >&- 2>&-; exit 5"]);
      assertEquals([silent.code, silent.stdout, silent.stderr], [5, "", ""]);
    });

    await t.step("a reader that has seen enough ends it", async () => {
      await using process = await workspace.spawn("exec", [target, "yes"]);
      await process.stdin.close();
      const reader = process.stdout.getReader();
      await reader.read();
      await reader.cancel();
      const { code } = await process.status;
      assertEquals([code, await new Response(process.stderr).text()], [141, ""]);
    });

    await t.step("login shell, home, own session", async () => {
      const { stdout } = await exec([target, "echo $0; pwd; ps -o sid= -p $$; echo $$"]);
      const [shell, home, session, pid] = stdout.trim().split("\n").map((line) => line.trim());
      assertStringIncludes(shell, "bash");
      assertEquals(home, account.home);
      assertEquals(session, pid);
    });

    await t.step("--env, --cwd and --argv", async () => {
      const value = "a 'b' \"c\" $d\ne ü";
      const env = await exec([
        "--env",
        `HF_X=${value}`,
        "--env=HF_Y=",
        target,
        'printf %s "$HF_X|$HF_Y"',
      ]);
      assertEquals(env.stdout, `${value}|`);
      // Those that a waiting shell can be told, too.
      const told = ["--env", "LC_X=a 'b' $d", "--env", "GIT_Y=", "--env", "TZ=UTC"];
      for (
        const [command, expected] of [
          ['printf %s "$LC_X|$GIT_Y|$TZ"', "a 'b' $d||UTC"],
          ["printenv LC_X GIT_Y TZ", "a 'b' $d\n\nUTC\n"],
          ["cat; echo $HF", "typed\n"],
        ]
      ) {
        assertEquals((await exec([...told, target, command], { stdin: "typed" })).stdout, expected);
      }
      assertEquals((await exec([target, 'echo "$LC_X$GIT_Y"'])).stdout, "\n");
      assertEquals((await exec(["--cwd", "/usr/bin", target, "pwd"])).stdout, "/usr/bin\n");
      const both = await exec([
        "--cwd",
        "/",
        "--env",
        "A=1",
        "--argv",
        target,
        "sh",
        "-c",
        'pwd; echo "$A $1"',
        "x",
        "* '",
      ]);
      assertEquals(both.stdout, "/\n1 * '\n");
      const missing = await exec(["--cwd", "/nowhere", target, "pwd"]);
      assert(missing.code !== 0 && missing.stdout === "", missing.stderr);
      assertStringIncludes(missing.stderr, "/nowhere");
      const words = ["printf", "%s|", "$HOME", "a  b", "", "new\nline", "ünï", "'\"\\"];
      const argv = await exec(["--argv", target, "--", ...words]);
      assertEquals(argv.stdout, words.slice(2).map((word) => `${word}|`).join(""));
    });

    await t.step("any text of a command", async () => {
      const line = "printf '%s' 'new\nline ünï \"quoted\" $HOME \\ !'; echo";
      assertEquals((await exec([target, line])).stdout, 'new\nline ünï "quoted" $HOME \\ !\n');
      assertEquals((await exec([target, "--", "echo", "--", "-n"])).stdout, "-- -n\n");
    });

    await t.step("a command line of 200 KiB is an error in a line", async () => {
      const words = Array.from({ length: 200 }, () => "x".repeat(1023));
      const { code, stdout, stderr } = await exec([target, "true", ...words]);
      assert(code !== 0 && stdout === "", `${code} ${stdout.slice(0, 100)}`);
      assertMatch(stderr, /long/);
      assert(stderr.trim().split("\n").length <= 2 && stderr.length < 600, stderr.slice(0, 1000));
      assertEquals((await exec([target, "echo on"])).stdout, "on\n");
    });

    await t.step("--timeout ends it", async () => {
      const { code, stdout, stderr } = await exec([
        "--timeout",
        "1",
        target,
        "echo begun; exec sleep 1000",
      ]);
      assertEquals([code, stdout], [255, "begun\n"]);
      assertMatch(stderr, /^holdfast: target[^ ]*: .*within 1 s/);
    });

    await t.step("the host saw one login", async () => {
      assertEquals(await sshd.logins(), 1);
    });
  });
}

test.needs("sshd", "namespaces")("exec: a noisy .bashrc does no harm", async () => {
  await using sshd = await startSshd();
  await using account = await createAccount({
    runtimes: ["deno"],
    profile: "printf 'noise \\377\\000\\033[2J'; seq 2000; echo more >&2\n",
  });
  await using workspace = await Workspace.create();
  await workspace.addHost("target", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  await workspace.run("exec", ["target", "true"]);
  const { code, stdout } = await workspace.run("exec", ["target", "echo fine"]);
  assertEquals(code, 0);
  assert(stdout.endsWith("fine\n"), stdout.slice(-100));
  const status = JSON.parse((await workspace.run("status", ["--json"])).stdout);
  assertEquals(status.connections[0].runtime, "deno");
});

function randomBytes(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) {
    crypto.getRandomValues(bytes.subarray(at, Math.min(at + 65536, size)));
  }
  return bytes;
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes as BufferSource);
  return new Uint8Array(digest).toHex();
}
