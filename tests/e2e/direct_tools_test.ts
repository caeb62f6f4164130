/** Tools of connection methods behind a host without a runtime: by their exact words, and the real ones that are here. */
import { assertEquals, assertMatch } from "../support/assert.ts";
import { type Account, createAccount } from "../support/accounts.ts";
import { busyboxRoot } from "../support/busybox_root.ts";
import { type RunOptions, Workspace } from "../support/holdfast.ts";
import { listing, makeTree } from "../support/odd_tree.ts";
import { signalReaches } from "../support/signal_reaches.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const WORDS = [
  "$HOME `id`",
  "a  b",
  "",
  "new\nline\n",
  "'\"\\",
  "\\'",
  "$$ $$$",
  "!!",
  "*",
  "-n",
  "%s",
  "é",
];
/** What it takes to carry files, of busybox. */
const FILE_TOOLS =
  "chmod dd head ln ls mkdir mv printf readlink rm rmdir sha256sum stat sync tail touch"
    .split(" ");

async function makeWorld() {
  await using stack = new AsyncDisposableStack();
  const sshd = stack.use(await startSshd());
  const account = stack.use(await createAccount({ sudo: "nopasswd" }));
  const workspace = stack.use(await Workspace.create());
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  const owned = stack.move();
  return {
    account,
    workspace,
    async exec(args: string[], options?: RunOptions) {
      const { code, stdout, stderr } = await workspace.run("exec", args, options);
      return { code, stdout, stderr };
    },
    async states(): Promise<Record<string, string>> {
      const { connections } = JSON.parse((await workspace.run("status", ["--json"])).stdout);
      return Object.fromEntries(
        connections.map(({ target, state }: Record<string, string>) => [target, state]),
      );
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

type World = Awaited<ReturnType<typeof makeWorld>>;

const fine = (stdout: string) => ({ code: 0, stdout, stderr: "" });

/** All that is the same wherever a command runs, behind `target`. */
async function checkCommands({ exec, workspace }: World, target: string): Promise<void> {
  const argv = ["--argv", target, "--", "printf", "%s|", ...WORDS];
  assertEquals(await exec(argv), fine(WORDS.map((word) => `${word}|`).join("")));
  const line = "cat; echo out; echo err >&2; exit 7";
  const outcome = await exec([target, line], { stdin: "in\n" });
  assertEquals(outcome, { code: 7, stdout: "in\nout\n", stderr: "err\n" });
  assertEquals((await exec([target, "kill -TERM $$"])).code, 143);
  await signalReaches(workspace, target);
}

/** A tree goes to `path` behind `target` and comes back as it was. */
async function checkFiles({ workspace }: World, target: string, path: string): Promise<void> {
  const [tree, back] = ["tree", "back"].map((name) =>
    workspace.join(`${crypto.randomUUID()}-${name}`)
  );
  await makeTree(tree);
  const put = await workspace.run("put", [target, tree, path]);
  assertEquals([put.code, put.stderr], [0, ""]);
  const fetched = await workspace.run("fetch", [target, path, back]);
  assertEquals([fetched.code, fetched.stderr], [0, ""]);
  assertEquals(await listing(back), await listing(tree));
}

/**
 * Puts programs in place of `tools` that note all of their words but the last, the script, and run that. The thing
 * called `none` does not exist.
 */
async function putStubs(account: Account, tools: string[]) {
  const log = `${account.home}/words`;
  const text = String.raw`#!/bin/sh
words=${"$"}{0##*/}
while [ $# -gt 1 ]; do
  [ "$1" != none ] || { echo "Error: No such container: none" >&2; exit 1; }
  words="$words|$1"
  shift
done
echo "$words" >>'${log}'
case $words in
  systemd-run*) exec sh -c "$(printf %s "$1" | sed 's/[$][$]/$/g')" ;;
  *) exec sh -c "$1" ;;
esac
`;
  for (const tool of tools) await account.write(`tools/${tool}`, text, { mode: 0o755 });
  await account.write(
    ".ssh/environment",
    `PATH=${account.home}/tools:/usr/local/bin:/usr/bin:/bin\n`,
  );
  return {
    /** What was noted since the last time. */
    async taken(): Promise<string[]> {
      const lines = (await Deno.readTextFile(log)).trimEnd().split("\n");
      await Deno.truncate(log);
      return lines;
    },
  };
}

const CASES: [hop: string, words: string][] = [
  ["docker=web", "docker|exec|-i|--|web"],
  ["podman=web", "podman|exec|-i|--|web"],
  ["kubectl=web", "kubectl|exec|-i|pod/web|--"],
  ["kubectl=shop/web/side", "kubectl|exec|-i|--namespace=shop|--container=side|pod/web|--"],
  ["lxc=box", "lxc|exec|-T|box|--"],
  ["incus=box", "incus|exec|-T|box|--"],
  [
    "machinectl=ann@box",
    "systemd-run|--quiet|--pipe|--wait|--collect|--no-ask-password|--machine=box|--uid=ann|--",
  ],
];

test.needs("sshd", "namespaces", "sudo")(
  "direct tools: each gets exactly its words for every command",
  async (t) => {
    await using world = await makeWorld();
    const { exec, account } = world;
    const tools = ["docker", "podman", "kubectl", "lxc", "incus", "systemd-run"];
    const { taken } = await putStubs(account, tools);

    for (const [hop, words] of CASES) {
      await t.step(hop, async () => {
        const target = `web1,${hop}`;
        await checkCommands(world, target);
        await checkFiles(world, target, `${account.home}/there`);
        assertEquals((await exec([target, "rm -r there"])).code, 0);
        assertEquals((await world.states())[target], "direct");
        const lines = await taken();
        assertEquals([...new Set(lines)], [`${words}|sh|-c`]);
        // One to see who is there, one for each command and signal, one that is held for files.
        assertEquals(lines.length > 8, true, `${lines.length}`);
      });
    }

    await t.step("one inside the other", async () => {
      const target = "web1,lxc=box,docker=web,kubectl=shop/web";
      // The second waits until it is known that there is no core.
      for (let use = 0; use < 2; use++) assertEquals((await exec([target, "true"])).code, 0);
      await taken();
      assertEquals(
        await exec(["--argv", target, "--", "printf", "%s|", ...WORDS]),
        fine(WORDS.map((word) => `${word}|`).join("")),
      );
      const lines = await taken();
      assertEquals(lines, [
        "lxc|exec|-T|box|--|sh|-c",
        "docker|exec|-i|--|web|sh|-c",
        "kubectl|exec|-i|--namespace=shop|pod/web|--|sh|-c",
      ]);
    });

    await t.step("as a user, whom an inventory names", async () => {
      const box = {
        ansible_connection: "docker",
        ansible_host: "web",
        ansible_user: "app",
        mitogen_via: "web1",
      };
      const inventory = { _meta: { hostvars: { box, web1: {} } }, all: { hosts: ["box", "web1"] } };
      const directory = `${world.workspace.home}/.config/holdfast`;
      await Deno.mkdir(directory, { recursive: true });
      await Deno.writeTextFile(`${directory}/inventory.json`, JSON.stringify(inventory));
      await Deno.writeTextFile(
        `${directory}/hosts.toml`,
        '[defaults]\ninventory = ["inventory.json"]\n',
      );
      assertEquals(await exec(["box", "echo hi"]), fine("hi\n"));
      assertEquals([...new Set(await taken())], ["docker|exec|-i|-u|app|--|web|sh|-c"]);
    });

    await t.step("what is not there is told in our words", async () => {
      const { code, stderr } = await exec(["web1,docker=none", "true"]);
      assertEquals([code, stderr], [
        255,
        "holdfast: web1,docker=none: there is no such container\n",
      ]);
      await Deno.remove(`${account.home}/tools/lxc`);
      const gone = await exec(["web1,lxc=other", "true"]);
      assertEquals([gone.code, gone.stderr], [
        255,
        "holdfast: web1,lxc=other: there is no program lxc here\n",
      ]);
    });
  },
);

for (const method of ["chroot", "bwrap"]) {
  test.needs("sshd", "namespaces", "sudo", "busybox", method)(
    `direct tools: ${method}, a directory with only busybox in it`,
    async () => {
      await using world = await makeWorld();
      await using root = await busyboxRoot({ applets: FILE_TOOLS });
      const target = `web1,sudo,${method}=${root.path}`;
      assertEquals(
        await world.exec([target, 'id -un; pwd; cat /etc/passwd; echo "$SHELL"']),
        fine("admin\n/root\nadmin:x:0:0:root:/root:/bin/sh\n/bin/sh\n"),
      );
      await checkCommands(world, target);
      await checkFiles(world, target, "/tmp/there");
      await checkFiles(world, `${target},local`, "/tmp/there2");
      assertEquals((await world.states())[target], "direct");
    },
  );
}

test.needs("sshd", "namespaces", "sudo", "nsenter", "unshare")(
  "direct tools: nsenter, the namespaces of a process",
  async () => {
    await using world = await makeWorld();
    await using asleep = await world.workspace.spawn("exec", [
      "web1,sudo",
      "exec unshare -u sh -c 'hostname elsewhere; echo $$; exec sleep 1000'",
    ]);
    const reader = asleep.stdout.getReader();
    const pid = new TextDecoder().decode((await reader.read()).value).trim();
    assertMatch(pid, /^\d+$/);
    const target = `web1,sudo,nsenter=${pid}`;
    assertEquals(await world.exec([target, "hostname"]), fine("elsewhere\n"));
    await checkCommands(world, target);
    await checkFiles(world, target, `${world.account.home}/there`);
    assertEquals((await world.states())[target], "direct");
    asleep.kill("SIGTERM");
    await Promise.all([reader.cancel(), asleep.stderr.cancel(), asleep.status]);
    await asleep.stdin.close().catch(() => {});
    await world.workspace.run("disconnect", [target]);
    const { code, stderr } = await world.exec([target, "true"]);
    assertEquals([code, stderr], [255, `holdfast: ${target}: there is no such process\n`]);
  },
);
