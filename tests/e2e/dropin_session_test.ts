/** `holdfast ssh` over a real sshd: sessions as ssh gives them, compared with ssh itself where it can go. */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { type Account, createAccount } from "../support/accounts.ts";
import { type RunOptions, Workspace } from "../support/holdfast.ts";
import { programFile, programLine } from "../support/program.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

for (const runtime of ["deno", "none"] as const) {
  const what = runtime === "none" ? "no runtime" : runtime;
  test.needs("sshd", "ssh", "namespaces", "sudo")(`dropin: as ssh does, on ${what}`, async (t) => {
    await using sshd = await startSshd();
    await using account = await createAccount({
      runtimes: runtime === "none" ? [] : [runtime],
      sudo: "nopasswd",
    });
    await Deno.chmod(account.home, 0o755);
    await account.write(".bash_profile", "export HF_LOGIN=yes\n");
    await using workspace = await Workspace.create();
    await workspace.addHost("web1", { user: account.name, port: sshd.port });
    await workspace.trust(sshd);
    // Nobody's profile but our own account's.
    const sudo = `web1,sudo=${account.name}`;
    const targets = ["web1", sudo, `${sudo},local`];

    for (const target of targets) {
      await t.step(`over ${target}`, (t) => checkSessions(t, { workspace, target, account }));
    }

    await t.step("-N ends when the connection does, and says so", async () => {
      await using process = await workspace.spawn("ssh", ["-N", "-v", targets.at(-1)!]);
      const reader = process.stderr.pipeThrough(new TextDecoderStream()).getReader();
      let said = "";
      while (!said.includes("is held")) said += (await reader.read()).value;
      await workspace.run("disconnect", [targets.at(-1)!]);
      for (let more = await reader.read(); !more.done; more = await reader.read()) {
        said += more.value;
      }
      assertEquals((await process.status).code, 255);
      assertMatch(said, /held\r\nholdfast: web1.*\r\n$/);
      await process.stdin.close().catch(() => {});
      await process.stdout.cancel();
      await workspace.run("ssh", [targets.at(-1)!, "true"]);
    });

    await t.step("-N ends when the daemon does, however it ends", async () => {
      for (const signal of [null, "SIGKILL"] as const) {
        await using process = await workspace.spawn("ssh", ["-N", "-v", targets[0]]);
        const reader = process.stderr.pipeThrough(new TextDecoderStream()).getReader();
        let said = "";
        while (!said.includes("is held")) said += (await reader.read()).value;
        const { pid } = JSON.parse((await workspace.run("status", ["--json"])).stdout);
        if (signal) Deno.kill(pid, signal);
        else await workspace.run("stop");
        for (let more = await reader.read(); !more.done; more = await reader.read()) {
          said += more.value;
        }
        assertEquals((await process.status).code, 255);
        assertMatch(said, /held\r\nholdfast: .*\r\n$/);
        await process.stdin.close().catch(() => {});
        await process.stdout.cancel();
      }
      for (const target of targets) await workspace.run("ssh", [target, "true"]);
    });

    await t.step("the host saw one login of ours", async () => {
      const { connections } = JSON.parse((await workspace.run("status", ["--json"])).stdout);
      assertEquals(connections.length, targets.length, JSON.stringify(connections));
    });
  });
}

async function checkSessions(
  t: Deno.TestContext,
  { workspace, target, account }: { workspace: Workspace; target: string; account: Account },
): Promise<void> {
  const ours = async (words: string[], options?: RunOptions) => {
    const { code, stdout, stderr } = await workspace.run("ssh", words, options);
    return { code, stdout, stderr };
  };
  /** The same words give the same with the real one, which knows hosts only. */
  const same = async (words: string[], stdin = "") => {
    const [destination, ...command] = words.splice(words.indexOf("web1"));
    const [mine, theirs] = [
      await ours([...words, destination.replace("web1", target), ...command], { stdin }),
      await real(workspace, [...words, destination, ...command], stdin),
    ];
    assertEquals(mine, theirs, `${words} ${destination} ${command}`);
    return mine;
  };

  await t.step("output, status and signals", async () => {
    const { code } = await same(["web1", "echo", "out;", "echo err >&2;", "exit 3"]);
    assertEquals(code, 3);
    // The real one tells nothing of the signal.
    assertEquals((await same(["web1", "kill -9 $$"])).code, 255);
    await same(["web1", "kill -TERM $$"]);
    await same(["web1", "echo 'a  b' \"c\" | cat; echo '*' # !"]);
    await same(["web1", "cat"], "typed\n");
    await same(["-n", "web1", "cat"], "unread\n");
    await same(["web1", "-T", "--", "echo", "-n", "x"]);
    await same(["web1", "exec >&- 2>&-; exit 5"]);
  });

  await t.step("a login shell without a command", async () => {
    const script = "echo $HF_LOGIN; shopt -q login_shell && echo login; exit 4\n";
    const { code, stdout } = await ours([target], { stdin: script });
    assertEquals([code, stdout], [4, "yes\nlogin\n"]);
    const { stderr } = await same(["web1"], "exit 0\n");
    assertMatch(
      stderr,
      /^Pseudo-terminal will not be allocated because stdin is not a terminal\.\r\n/,
    );
    assertEquals((await ours(["-T", target], { stdin: "exit 0\n" })).stderr, "");
    assertEquals((await same(["web1", ""], "exit 4\n")).code, 4);
  });

  await t.step("environment by SendEnv and SetEnv", async () => {
    const env = { HF_SENT: "a 'b'", HF_KEPT: "no" };
    const { stdout } = await ours(
      [
        "-oSendEnv=HF_S*",
        "-o",
        'SetEnv HF_A="1 2" HF_B=3',
        target,
        'echo "$HF_SENT|$HF_KEPT|$HF_A|$HF_B"',
      ],
      { env },
    );
    assertEquals(stdout, "a 'b'||1 2|3\n");
  });

  await t.step("a terminal that nobody looks at", async () => {
    const { code, stdout, stderr } = await ours(["-tt", target, "test -t 0 && stty size; exit 6"]);
    assertEquals([code, stdout], [6, "24 80\r\n"]);
    // The latter is what the system's ssh says of a connection that others hold.
    const said = [
      `Connection to ${target} closed.\r\n`,
      "Shared connection to 127.0.0.1 closed.\r\n",
    ];
    assert(said.includes(stderr), stderr);
    assertEquals((await ours(["-qtt", target, "true"])).stderr, "");
  });

  await t.step("-f goes on in the background", async () => {
    const file = `${account.home}/background`;
    const fifo = `${account.home}/fifo`;
    await new Deno.Command("mkfifo", { args: ["-m", "666", fifo] }).output();
    const { code, stdout } = await ours(
      ["-f", target, `read line <${fifo}; echo $line >${file}; echo told`],
      { stdin: await after(() => Deno.writeTextFile(fifo, "released\n")) },
    );
    assertEquals([code, stdout], [0, "told\n"]);
    assertEquals(await Deno.readTextFile(file), "released\n");
    await Deno.remove(file);
    await Deno.remove(fifo);
  });

  await t.step("-q says nothing, -v a little, -E elsewhere", async () => {
    assertEquals((await ours(["-q", target, "exit 2"])).stderr, "");
    const file = workspace.join("said");
    const { stderr } = await ours(["-v", "-E", file, target, "exit 2"]);
    assertEquals(stderr, "");
    assertMatch(await Deno.readTextFile(file), /^debug1: .*\r\ndebug1: Exit status 2\r\n$/);
    await Deno.remove(file);
  });

  // By USR1 a runtime would rather open its debugger.
  for (const [signal, status] of [["SIGTERM", 255], ["SIGUSR1", 138]] as const) {
    await t.step(`one killed by ${signal} takes its command along`, async () => {
      const command = "echo ready; exec sleep 1000";
      await using process = await workspace.spawn("ssh", [target, command]);
      const reader = process.stdout.getReader();
      await reader.read();
      process.kill(signal);
      assertEquals((await process.status).code, status);
      await process.stdin.close().catch(() => {});
      await reader.cancel();
      await process.stderr.cancel();
    });
  }

  await t.step("-N holds it until it is killed", async () => {
    await using process = await workspace.spawn("ssh", ["-N", "-v", target]);
    const reader = process.stderr.pipeThrough(new TextDecoderStream()).getReader();
    for (let said = ""; !said.includes("is held");) said += (await reader.read()).value;
    process.kill("SIGINT");
    assertEquals((await process.status).code, 255);
    await process.stdin.close().catch(() => {});
    await process.stdout.cancel();
    await reader.cancel();
  });
}

/** Does `work` beside a process whose input it is: nothing, until that is done. */
function after(work: () => Promise<void>): Promise<ReadableStream<Uint8Array>> {
  return Promise.resolve(
    new ReadableStream({
      async start(controller) {
        await work();
        controller.close();
      },
    }),
  );
}

async function real(workspace: Workspace, words: string[], stdin: string) {
  const process = new Deno.Command("ssh", {
    args: ["-F", workspace.config, ...words],
    env: await workspace.env(),
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin)).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await process.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

test("dropin: what cannot be reached is 255 and one line", async () => {
  await using workspace = await Workspace.create();
  const cases: [words: string[], said: RegExp][] = [
    [["-p", "1", "127.0.0.1", "true"], /^holdfast: .*refused.*\r\n$/],
    [["no,such=method", "true"], /^holdfast: Cannot read target "no,such=method": .*\r\n$/],
    [["-oBogus=1", "127.0.0.1", "true"], /^holdfast: .*bogus.*\r\n$/],
    [
      ["-E", workspace.home, "h", "true"],
      /^holdfast: Cannot open log file .*: it is a directory\r\n$/,
    ],
    [["-fN", "-oRequestTTY=maybe", "127.0.0.1"], /^holdfast: .*maybe.*\r\n$/],
    [["--", "-oProxyCommand=touch x"], /^hostname contains invalid characters\r\n$/],
    [["-X", "-w1", "a,b", "true"], /^holdfast: Cannot carry out -w for a,b: .*\r\n$/],
  ];
  for (const [words, said] of cases) {
    const { code, stdout, stderr } = await workspace.run("ssh", words);
    assertEquals([code, stdout], [255, ""]);
    assertMatch(stderr, said);
    assertEquals((await workspace.run("ssh", ["-q", ...words])).code, 255);
  }
  const usage = await workspace.run("ssh", ["-Z"]);
  assertEquals([usage.code, usage.stdout], [255, ""]);
  assertMatch(usage.stderr, /^unknown option -- Z\r\nusage: ssh \[-.*\n(.{1,79}\n)+$/);
});

test.needs("ssh")("dropin: the system's ssh does what only it can do", async () => {
  await using workspace = await Workspace.create();
  const tools = workspace.join("tools");
  await Deno.mkdir(tools);
  const script = async (path: string, text: string) => {
    await Deno.writeTextFile(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  };
  const { PATH } = await workspace.env();
  const run = (words: string[], env: Record<string, string> = {}) =>
    workspace.run("ssh", words, { env: { PATH: `${tools}:${PATH}`, ...env } });

  // Ourselves under ssh's name, and a script that leads back here without saying so, are passed over.
  await Deno.symlink(programFile(), `${tools}/ssh`);
  const version = await run(["-V"]);
  assertEquals(version.code, 0);
  assertMatch(version.stderr, /^OpenSSH_/);
  await Deno.remove(`${tools}/ssh`);
  await script(`${tools}/ssh`, `exec ${programLine()} ssh "$@" # holdfast`);
  assertMatch((await run(["-V"])).stderr, /^OpenSSH_/);
  await script(`${tools}/ssh`, `. ${tools}/more`);
  await script(`${tools}/more`, `exec ${programLine()} ssh "$@"`);
  const circle = await run(["-w", "1", "h"]);
  assertEquals(circle.code, 255);
  assertMatch(circle.stderr, /^holdfast: Cannot carry out -w: .*\r\n$/);

  await script(`${tools}/ssh`, `printf '%s|' "$@"; cat; exit 7`);
  const words = ["-w", "1", "-o", "a b", "h", "x  y", "*"];
  const handed = await workspace.run("ssh", words, {
    env: { PATH: `${tools}:${PATH}` },
    stdin: "typed",
  });
  assertEquals([handed.code, handed.stdout], [
    7,
    `-F|${workspace.config}|${words.join("|")}|typed`,
  ]);
  assertMatch((await run(["-X", "h"], { DISPLAY: ":0" })).stdout, /\|-X\|h\|$/);
  assertMatch((await run(["-G", "h"])).stdout, /\|-G\|h\|$/);

  const never = await run(["-w", "1", "h"], { HOLDFAST_SSH: "never" });
  assertEquals([never.code, never.stdout], [255, ""]);
  assertEquals(
    never.stderr,
    "holdfast: Cannot carry out -w: only the system's ssh can, and HOLDFAST_SSH=never forbids it\r\n",
  );
});

test("dropin: -V, -Q and -G have answers of their own", async () => {
  await using workspace = await Workspace.create();
  const env = { HOLDFAST_SSH: "never" };
  const run = (...words: string[]) => workspace.run("ssh", words, { env });
  assertMatch((await run("-V")).stderr, /^Holdfast_\d/);
  assertMatch((await run("-Q", "cipher")).stdout, /^aes128-ctr$/m);
  assertMatch((await run("-Q", "KexAlgorithms")).stdout, /^curve25519-sha256$/m);
  const bogus = await run("-Q", "bogus");
  assertEquals([bogus.code, bogus.stderr], [255, 'Unsupported query "bogus"\n']);
  const stack = await workspace.run("ssh", ["-G", "ann@web1,db1:99,sudo=app"]);
  assertEquals(stack.code, 0);
  assertEquals(stack.stdout.split("\n").slice(0, 4), [
    "host ann@web1,db1:99,sudo=app",
    "user app",
    "hostname db1",
    "port 99",
  ]);
  assertMatch(
    (await run("-G", "-p", "7", "ann@h")).stdout,
    /^host h\nuser ann\nhostname h\nport 7\n/,
  );
  assertEquals((await workspace.run("status", ["--json"])).code, 0);
});
