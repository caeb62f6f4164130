/** Hops behind a host without a JavaScript runtime: the tool of each is composed into every command. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { type Account, createAccount } from "../support/accounts.ts";
import { startContainer } from "../support/container.ts";
import { Workspace } from "../support/holdfast.ts";
import { listing, makeTree } from "../support/odd_tree.ts";
import { describeProcesses, listProcesses, waitUntilGone } from "../support/processes.ts";
import { signalReaches } from "../support/signal_reaches.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const PASSWORD = "hop-s3cret Tr0ub4dor";
const hosts = test.needs("sshd", "namespaces", "sudo");

async function makeWorld(sudo: "nopasswd" | "password") {
  await using stack = new AsyncDisposableStack();
  const sshd = stack.use(await startSshd());
  const account = stack.use(await createAccount({ sudo, password: PASSWORD }));
  await Deno.chmod(account.home, 0o755);
  const workspace = stack.use(await Workspace.create());
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  const secret = workspace.join("secret");
  await Deno.writeTextFile(secret, `${PASSWORD}\n`, { mode: 0o600 });
  const asked = workspace.join("asked");
  const owned = stack.move();
  return {
    sshd,
    account,
    workspace,
    /** Prints the password and notes what it was asked. */
    command: `printf '%s|%s\\n' "$HOLDFAST_TARGET" "$HOLDFAST_QUESTION" >>${asked}; cat ${secret}`,
    wrong: `echo x >>${asked}; echo wrong-Passw0rd`,
    async asked(): Promise<string[]> {
      const text = await Deno.readTextFile(asked).catch(() => "");
      return text.split("\n").filter((line) => line !== "");
    },
    async exec(...args: string[]) {
      const { code, stdout, stderr } = await workspace.run("exec", args);
      return { code, stdout, stderr };
    },
    async connections(): Promise<{ target: string; state: string; runtime: string | null }[]> {
      return JSON.parse((await workspace.run("status", ["--json"])).stdout).connections;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A rule of sudo's that goes with the test. */
async function sudoers(account: Account, text: string): Promise<AsyncDisposable> {
  const path = `/etc/sudoers.d/${account.name}-${crypto.randomUUID().slice(0, 8)}`;
  await Deno.writeTextFile(path, `${text}\n`, { mode: 0o440 });
  return { [Symbol.asyncDispose]: () => Deno.remove(path) };
}

const fine = (stdout: string) => ({ code: 0, stdout, stderr: "" });

hosts("direct hops: what is behind sudo is root's, and a chain is one login", async (t) => {
  await using world = await makeWorld("nopasswd");
  const { exec, account } = world;

  await t.step("as root, in its home", async () => {
    assertEquals(await exec("web1,sudo", "id -un; pwd; echo $HOME"), fine("root\n/root\n/root\n"));
  });

  await t.step("a chain, each prefix held once and served directly", async () => {
    const target = `web1,sudo,local,sudo=${account.name},local`;
    const { code, stdout, stderr } = await exec(target, "id -un; echo $HOME; exit 7");
    assertEquals([code, stdout, stderr], [7, `${account.name}\n${account.home}\n`, ""]);
    // The second waits until it is known that there is no core.
    assertEquals((await exec(target, "true")).code, 0);
    const held = await world.connections();
    assertEquals(held.map(({ target }) => target).sort(), [
      "web1",
      "web1,sudo",
      "web1,sudo,local",
      `web1,sudo,local,sudo=${account.name}`,
      target,
    ]);
    for (const { state, runtime } of held) assertEquals([state, runtime], ["direct", null]);
    assertEquals(await world.sshd.logins(), 1);
  });

  await t.step("no word is read by a shell on the way", async () => {
    const target = `web1,sudo,local,sudo=${account.name},local`;
    const words = [
      "printf",
      "%s|",
      "$HOME `id` $(id)",
      "a  b",
      "",
      "new\nline\n",
      "ünï",
      "'\"\\",
      "\\'",
      "!!",
      "*",
      "~",
      "-n",
      "%s",
      "\x01\t;&|<>(){}#",
    ];
    assertEquals(
      await exec("--argv", target, "--", ...words),
      fine(words.slice(2).map((word) => `${word}|`).join("")),
    );
    const value = 'it\'s "$x" `y`\n\\ ';
    assertEquals(
      await exec("--env", `HF_X=${value}`, "--cwd", "/usr/bin", target, 'printf %s "$HF_X:$PWD"'),
      fine(`${value}:/usr/bin`),
    );
  });

  await t.step("files go straight in, with their user's rights, and come back", async () => {
    const tree = world.workspace.join("tree");
    await makeTree(tree);
    const there = `/root/hf-${crypto.randomUUID()}`;
    for (const target of ["web1,sudo", "web1,sudo,local"]) {
      const put = await world.workspace.run("put", [target, tree, there]);
      assertEquals([put.code, put.stderr], [0, ""]);
      assertEquals((await Deno.stat(`${there}/big`)).uid, 0);
      assertEquals(await listing(there), await listing(tree));
      const back = world.workspace.join(`back-${target}`);
      const fetched = await world.workspace.run("fetch", [target, there, back]);
      assertEquals([fetched.code, fetched.stderr], [0, ""]);
      assertEquals(await listing(back), await listing(tree));
      assertEquals((await exec("web1,sudo", `rm -r ${there}`)).code, 0);
    }
  });

  await t.step("ssh behind a hop: its keys stay here", async () => {
    await using inner = await createAccount();
    await world.workspace.addHost("inner", { user: inner.name, port: world.sshd.port });
    assertEquals(await exec("web1,sudo,inner,local", "id -un"), fine(`${inner.name}\n`));
    await world.workspace.run("disconnect", ["-F", world.workspace.config, "web1,sudo,inner"]);
  });

  await t.step("the relay: one after the other over one login", async () => {
    const file = world.workspace.join("one");
    await Deno.writeTextFile(file, "content\n");
    const there = `/root/hf-${crypto.randomUUID()}`;
    const lines = [
      "EXEC: id -u",
      `PUT: ${file} ${there}`,
      `EXEC: cat ${there}; rm ${there}`,
      "EXEC: exit 4",
    ];
    const { code, stdout } = await world.workspace.run("client", ["--json", "web1,sudo"], {
      stdin: lines.map((line) => `${line}\n`).join(""),
    });
    const answers = stdout.trim().split("\n").map((line) => JSON.parse(line));
    assertEquals([code, answers.map(({ rc }) => rc)], [4, [0, 0, 0, 4]]);
    assertEquals(answers.map(({ stdout }) => stdout), ["0\n", "", "content\n", ""]);
  });

  await t.step("a hop that cannot be opened is named, and leaves nothing", async () => {
    const cases: [hop: string, message: RegExp][] = [
      ["sudo=nobody-such", /^holdfast: web1,sudo=nobody-such: there is no such user\n$/],
      ["kubectl=a/b/c/d", /^holdfast: web1,kubectl=a\/b\/c\/d: write kubectl=/],
      ["lxc=a", /^holdfast: web1,lxc=a: there is no program lxc here\n$/],
      ["chroot=/nowhere", /^holdfast: web1,chroot=\/nowhere: there is no program chroot here\n$/],
      ["sudo,chroot=/nowhere", /^holdfast: web1,sudo,chroot=\/nowhere: there is no such direct/],
      ["sudo,nsenter=1x", /^holdfast: web1,sudo,nsenter=1x: the number of a process is wanted/],
    ];
    for (const [hop, message] of cases) {
      const { code, stdout, stderr } = await exec(`web1,${hop}`, "true");
      assertEquals([code, stdout], [/1x|\/d/.test(hop) ? 2 : 255, ""], stderr);
      assertMatch(stderr, message);
    }
    const held = (await world.connections()).map(({ target }) => target);
    for (const [hop] of cases) assert(!held.includes(`web1,${hop}`), `${held}`);
  });

  await t.step("what root runs ends with its client, and with the connection below", async () => {
    for (const how of ["kill", "disconnect"]) {
      await using process = await world.workspace.spawn("exec", [
        "web1,sudo",
        "echo ready; exec sleep 98765",
      ]);
      const reader = process.stdout.getReader();
      await reader.read();
      if (how === "kill") process.kill("SIGKILL");
      else await world.workspace.run("disconnect", ["web1"]);
      const sleeping = () => listProcesses().filter(({ command }) => command === "sleep 98765");
      assertEquals(describeProcesses(await waitUntilGone(sleeping)), "");
      await Promise.all([reader.cancel(), process.stderr.cancel(), process.status]);
      await process.stdin.close().catch(() => {});
    }
  });
});

hosts("direct hops: a password is asked once, and leaves no trace", async (t) => {
  await using world = await makeWorld("password");
  const { workspace, command, exec, account } = world;
  // sudo itself must not remember.
  await using _ = await sudoers(account, `Defaults:${account.name} timestamp_timeout=0`);

  await t.step("by all who wait at once, and never again", async () => {
    const runs = ["1", "2", "3"].map((name) =>
      exec("--password-command", command, "web1,sudo", `echo ${name}; id -u`)
    );
    for (const [at, outcome] of (await Promise.all(runs)).entries()) {
      assertEquals(outcome, fine(`${at + 1}\n0\n`));
    }
    assertEquals(await exec("web1,sudo", "id -u"), fine("0\n"));
    const asked = await world.asked();
    assertEquals(asked.length, 1, asked.join("\n"));
    assertMatch(asked[0], /^web1,sudo\|web1,sudo: \[sudo\] password for .*:/);
  });

  await t.step("it is in no argument, no environment and no log", async () => {
    const { stdout } = await exec(
      "web1,sudo",
      "cat /proc/[0-9]*/cmdline /proc/self/environ 2>/dev/null",
    );
    assert(stdout.length > 0 && !stdout.includes(PASSWORD));
    assert(!(await Deno.readTextFile(`${workspace.dir}/log`)).includes(PASSWORD));
  });

  await t.step("input is not taken for it", async () => {
    const { code, stdout } = await workspace.run("exec", ["web1,sudo", "cat"], { stdin: "one\n" });
    assertEquals([code, stdout], [0, "one\n"]);
  });

  await t.step("a changed password is asked for", async () => {
    await account.setPassword("another one");
    const other = workspace.join("other");
    await Deno.writeTextFile(other, "another one\n", { mode: 0o600 });
    const outcome = await exec("--password-command", `cat ${other}`, "web1,sudo", "id -u");
    assertEquals(outcome, fine("0\n"));
    assertEquals(await exec("web1,sudo", "id -u"), fine("0\n"));
    await account.setPassword(PASSWORD);
  });

  await t.step("a wrong one is told once, and leaves nothing half open", async () => {
    await workspace.run("disconnect", ["web1,sudo"]);
    const { code, stdout, stderr } = await exec(
      "--password-command",
      world.wrong,
      "web1,sudo",
      "true",
    );
    assertEquals([code, stdout], [255, ""]);
    assertMatch(stderr, /^holdfast: web1,sudo: [^\n]*password[^\n]*\n$/);
    assert(!stderr.includes("wrong-Passw0rd"));
    assertEquals((await world.connections()).map(({ target }) => target), ["web1"]);
  });

  await t.step("with nobody to ask, the error says what to do", async () => {
    const { code, stderr } = await exec("web1,sudo", "true");
    assertEquals(code, 255);
    assertMatch(stderr, /^holdfast: web1,sudo: .*--password-command/);
  });

  await t.step("the relay's become_pass opens the hop", async () => {
    const block = { remote_addr: "web1", become: true, become_user: "root", become_pass: PASSWORD };
    const { code, stdout, stderr } = await workspace.run("client", [], {
      stdin: `${JSON.stringify(block)}\n#END_INIT#\nEXEC: id -u\nEXEC: echo two\n`,
    });
    assertEquals([code, stdout, stderr], [0, "0\ntwo\n", ""]);
    await workspace.run("disconnect", ["web1,sudo"]);
  });

  await t.step("where sudoers demand a terminal there is one", async () => {
    await using _ = await sudoers(
      account,
      `Defaults:${account.name} requiretty,timestamp_timeout=0`,
    );
    const bytes = crypto.getRandomValues(new Uint8Array(60_000));
    for (let round = 0; round < 2; round++) {
      const args = ["--password-command", command, "web1,sudo", "cat"];
      const { code, stdoutBytes, stderr } = await workspace.run("exec", args, { stdin: bytes });
      assertEquals([code, stdoutBytes, stderr], [0, bytes, ""]);
    }
    const { code, stdout, stderr } = await exec("web1,sudo", "echo out; echo err >&2; exit 3");
    assertEquals([code, stdout, stderr], [3, "out\n", "err\n"]);
    assertEquals((await exec("web1,sudo", "kill -TERM $$")).code, 143);
  });

  await t.step("who may not, whatever the password", async () => {
    await using stranger = await createAccount({ password: PASSWORD });
    await workspace.addHost("web2", { user: stranger.name, port: world.sshd.port });
    const { code, stderr } = await exec("--password-command", command, "web2,sudo", "true");
    assertEquals(code, 255);
    assertMatch(stderr, /^holdfast: web2,sudo: sudo may not do this/);
    await workspace.run("disconnect", ["-F", workspace.config, "web2"]);
  });
});

test.needs("sshd", "namespaces", "sudo", "su", "podman", "runc", "busybox", "bwrap", "nsenter")(
  "direct hops: mixed stacks",
  async (t) => {
    await using world = await makeWorld("password");
    await using box = await startContainer({ applets: FILE_TOOLS });
    await using other = await createAccount({ password: PASSWORD, sudo: "password" });
    await Deno.chmod(other.home, 0o755);
    const exec = (target: string, command: string) =>
      world.exec("--password-command", world.command, target, command);

    await t.step("a container behind sudo, and what is behind that", async () => {
      const target = `web1,sudo,podman=${box.name},local`;
      assertEquals(
        await exec(target, "id -un; cat /etc/passwd"),
        fine("root\nroot:x:0:0:root:/root:/bin/sh\n"),
      );
      assertEquals((await exec(target, "exit 5")).code, 5);
      assertEquals((await exec(target, "kill -TERM $$")).code, 143);
      assertEquals((await exec(target, "cat no-such")).code, 1);
    });

    await t.step("a signal reaches a command in the container, and only that", async () => {
      await signalReaches(world.workspace, `web1,sudo,podman=${box.name}`);
    });

    await t.step("files into the container and back, with busybox's tools", async () => {
      const tree = world.workspace.join("tree");
      await makeTree(tree);
      const target = `web1,sudo,podman=${box.name}`;
      const put = await world.workspace.run("put", [target, tree, "/tmp/there"]);
      assertEquals([put.code, put.stderr], [0, ""]);
      const back = world.workspace.join("back");
      const fetched = await world.workspace.run("fetch", [target, "/tmp/there", back]);
      assertEquals([fetched.code, fetched.stderr], [0, ""]);
      assertEquals(await listing(back), await listing(tree));
    });

    await t.step("what cannot be done in there is said", async () => {
      const words = ["-W", "127.0.0.1:1", `web1,sudo,podman=${box.name}`];
      const { code, stdout, stderr } = await world.workspace.run("ssh", words);
      assertEquals([code, stdout], [255, ""]);
      assertMatch(stderr, /^holdfast: web1,sudo,podman=\S+: it cannot connect to other hosts\r\n$/);
    });

    await t.step("su, sudo there, another namespace and a sandbox: six deep", async () => {
      const target = `web1,su=${other.name},sudo,nsenter=${Deno.pid},local,bwrap`;
      assertEquals(await exec(target, "id -un; echo $HOME"), fine("root\n/root\n"));
      assertEquals(
        await exec(`web1,su=${other.name}`, "id -un; echo $HOME; pwd"),
        fine(`${other.name}\n${other.home}\n${other.home}\n`),
      );
    });

    await t.step(
      "where there is a runtime behind a host that has none, the core runs",
      async () => {
        const runtimes = new Map(
          (await world.connections()).map(({ target, runtime }) => [target, runtime]),
        );
        const target = `web1,su=${other.name},sudo`;
        assertEquals(runtimes.get(target), null);
        assertEquals(runtimes.get(`${target},nsenter=${Deno.pid}`), "deno");
        assertEquals(runtimes.get(`${target},nsenter=${Deno.pid},local,bwrap`), "deno");
        await world.workspace.run("disconnect", ["-F", world.workspace.config, target]);
      },
    );

    await t.step("a container that is not there any more", async () => {
      await box.stop();
      const { code, stderr } = await exec(`web1,sudo,podman=${box.name}`, "true");
      assertEquals(code, 255);
      assertStringIncludes(stderr, `holdfast: web1,sudo,podman=${box.name}: podman ended`);
    });
  },
);

/** What it takes to carry files, of busybox. */
const FILE_TOOLS = "chmod dd head ln ls mkdir mv readlink rm rmdir sha256sum stat sync tail touch"
  .split(" ");
