/** Hops without a runtime behind a context that has one: served directly, by tools that this context starts. */
import { assertEquals } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { type Container, startContainer } from "../support/container.ts";
import { Workspace } from "../support/holdfast.ts";
import { listing, makeTree } from "../support/odd_tree.ts";
import { describeProcesses, listProcesses, waitUntilGone } from "../support/processes.ts";
import { signalReaches } from "../support/signal_reaches.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";
import type { Runtime } from "../support/tools.ts";

/** What it takes to carry files, of busybox, and to go on from there. */
const APPLETS =
  "chmod chroot dd head ln ls mkdir mv pwd readlink rm rmdir sha256sum stat su sync tail touch"
    .split(" ");
const PASSWD = ["root:x:0:0:root:/root:/bin/sh", "app:x:7:7:app:/tmp:/bin/sh"];

/** A host with a runtime, and a container without one. */
async function makeWorld(runtime: Runtime) {
  await using stack = new AsyncDisposableStack();
  const sshd = stack.use(await startSshd());
  const account = stack.use(await createAccount({ runtimes: [runtime], sudo: "nopasswd" }));
  await Deno.chmod(account.home, 0o755);
  const box = stack.use(await startContainer({ applets: APPLETS, passwd: PASSWD }));
  const workspace = stack.use(await Workspace.create());
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  const owned = stack.move();
  return {
    sshd,
    account,
    box,
    workspace,
    inBox: `web1,sudo,podman=${box.name}`,
    async exec(...args: string[]) {
      const { code, stdout, stderr } = await workspace.run("exec", args);
      return { code, stdout, stderr };
    },
    async connections(): Promise<
      { target: string; state: string; runtime: string | null; provision: string | null }[]
    > {
      return JSON.parse((await workspace.run("status", ["--json"])).stdout).connections;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const fine = (stdout: string) => ({ code: 0, stdout, stderr: "" });

/** A place in the container with a shell of its own. */
async function makeJail(box: Container): Promise<void> {
  const script =
    "umask 0; busybox chmod 1777 /tmp; cd /tmp; busybox mkdir -p jail/bin jail/dev jail/etc;" +
    ": >jail/dev/null; busybox cp /bin/busybox jail/bin;" +
    "for a in sh cat env id echo grep kill setsid; do busybox ln -s busybox jail/bin/$a; done;" +
    "echo jailer:x:0:0::/:/bin/sh >jail/etc/passwd";
  await box.run("/bin/busybox", "sh", "-c", script);
}

for (const runtime of ["deno", "node", "bun"] as const) {
  const needs = ["sshd", "namespaces", "sudo", "podman", "runc", "busybox", runtime];
  test.needs(...needs)(`coreless hops, on ${runtime}: what is behind a context`, async (t) => {
    await using world = await makeWorld(runtime);
    const { exec, inBox, workspace } = world;
    await makeJail(world.box);

    await t.step("commands: streams, status, words, directory, environment", async () => {
      assertEquals(
        await exec(inBox, "id -un; pwd; cat /etc/passwd"),
        fine(`root\n/root\n${PASSWD.join("\n")}\n`),
      );
      assertEquals(await exec(inBox, "echo out; echo err >&2; exit 7"), {
        code: 7,
        stdout: "out\n",
        stderr: "err\n",
      });
      assertEquals((await exec(inBox, "kill -TERM $$")).code, 143);
      assertEquals((await exec("--argv", inBox, "--", "no-such")).code, 127);
      const words = [
        "printf",
        "%s|",
        "$HOME `id`",
        "a  b",
        "",
        "new\nline\n",
        "'\"\\",
        "!!",
        "*",
        "-n",
        "é",
      ];
      assertEquals(
        await exec("--argv", inBox, "--", ...words),
        fine(words.slice(2).map((word) => `${word}|`).join("")),
      );
      const value = 'it\'s "$x" `y`\n\\ ';
      assertEquals(
        await exec("--env", `HF_X=${value}`, "--cwd", "/etc", inBox, 'printf %s "$HF_X:$PWD"'),
        fine(`${value}:/etc`),
      );
    });

    await t.step("input and output are clean for bytes", async () => {
      const bytes = crypto.getRandomValues(new Uint8Array(60_000));
      const { code, stdoutBytes, stderr } = await workspace.run("exec", [inBox, "cat"], {
        stdin: bytes,
      });
      assertEquals([code, stdoutBytes, stderr], [0, bytes, ""]);
    });

    await t.step("status: the contexts before it are ready, it is direct", async () => {
      const held = (await world.connections()).map((
        { state, runtime, provision },
      ) => [state, runtime, provision]);
      assertEquals(held, [["ready", runtime, null], ["ready", runtime, null], [
        "direct",
        null,
        null,
      ]]);
      assertEquals(await world.sshd.logins(), 1);
    });

    await t.step("what is behind it in turn: another user, a changed root, both", async () => {
      assertEquals(await exec(`${inBox},su=app`, "id -un; pwd"), fine("app\n/tmp\n"));
      assertEquals(
        await exec(`${inBox},chroot=/tmp/jail`, "id -un; echo *; exit 0"),
        fine("jailer\nbin dev etc\n"),
      );
      assertEquals((await exec(`${inBox},su=app,local`, "exit 9")).code, 9);
      const { code, stderr } = await exec(`${inBox},chroot=/none`, "true");
      assertEquals([code, stderr], [
        255,
        `holdfast: ${inBox},chroot=/none: there is no such directory\n`,
      ]);
    });

    await t.step("a signal reaches the command, and only that", async () => {
      for (const target of [inBox, `${inBox},su=app`]) {
        await signalReaches(workspace, target);
      }
    });

    await t.step("files into it and back, by busybox's tools", async () => {
      const tree = workspace.join("tree");
      await makeTree(tree);
      for (const [place, target] of [inBox, `${inBox},su=app`].entries()) {
        const put = await workspace.run("put", [target, tree, `/tmp/there${place}`]);
        assertEquals([put.code, put.stderr], [0, ""]);
        const back = workspace.join(`back${place}`);
        const fetched = await workspace.run("fetch", [target, `/tmp/there${place}`, back]);
        assertEquals([fetched.code, fetched.stderr], [0, ""]);
        assertEquals(await listing(back), await listing(tree));
      }
      assertEquals(await exec(inBox, "stat -c %U /tmp/there1/big"), fine("app\n"));
    });

    await t.step("the relay, and the drop-in", async () => {
      const file = workspace.join("one");
      await Deno.writeTextFile(file, "content\n");
      const lines = [
        "EXEC: id -u",
        `PUT: ${file} /tmp/one`,
        "EXEC: cat /tmp/one",
        `FETCH: /tmp/one ${file}.2`,
        "EXEC: exit 4",
      ];
      const { code, stdout } = await workspace.run("client", ["--json", inBox], {
        stdin: lines.map((line) => `${line}\n`).join(""),
      });
      const answers = stdout.trim().split("\n").map((line) => JSON.parse(line));
      assertEquals([code, answers.map(({ rc }) => rc)], [4, [0, 0, 0, 0, 4]]);
      assertEquals(answers[2].stdout, "content\n");
      assertEquals(await Deno.readTextFile(`${file}.2`), "content\n");
      const ssh = await workspace.run("ssh", [inBox, "cat; echo err >&2; exit 3"], { stdin: "in" });
      assertEquals([ssh.code, ssh.stdout, ssh.stderr], [3, "in", "err\n"]);
    });

    await t.step("what needs a core there says so", async () => {
      const words = ["-W", "127.0.0.1:1", inBox];
      const { code, stderr } = await workspace.run("ssh", words);
      assertEquals([code, stderr], [
        255,
        `holdfast: ${inBox}: it cannot connect to other hosts\r\n`,
      ]);
    });

    await t.step(
      "what runs there ends with its client, and with the context that started it",
      async () => {
        for (const how of ["kill", "disconnect", "stop"]) {
          await using process = await workspace.spawn("exec", [
            inBox,
            "echo ready; exec sleep 98765",
          ]);
          const reader = process.stdout.getReader();
          await reader.read();
          if (how === "kill") process.kill("SIGKILL");
          else await workspace.run(how, how === "disconnect" ? ["web1,sudo"] : []);
          const sleeping = () => listProcesses().filter(({ command }) => command === "sleep 98765");
          assertEquals(describeProcesses(await waitUntilGone(sleeping)), "");
          await Promise.all([reader.cancel(), process.stderr.cancel(), process.status]);
          await process.stdin.close().catch(() => {});
        }
      },
    );
  });
}
