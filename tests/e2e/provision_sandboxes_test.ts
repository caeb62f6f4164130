/** Sandboxes (bwrap) that hold only busybox and glibc are given a runtime through ssh and sudo. */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { builtFile } from "../support/built_file.ts";
import { busyboxRoot } from "../support/busybox_root.ts";
import { test } from "../support/test.ts";
import { findExecutable } from "../support/tools.ts";
import { exists, LITTLE, World } from "./provision_world.ts";

const sandboxes = test.needs(
  ...[
    "linux",
    "root",
    "sshd",
    "namespaces",
    "gzip",
    "tar",
    "sha256sum",
    "sudo",
    "busybox",
    "bwrap",
  ],
);

sandboxes(
  "provision: through ssh and sudo into sandboxes, with one copy over the first link",
  async () => {
    await using world = await World.create({ sudo: "nopasswd" });
    await using first = await busyboxRoot({ libraries: true });
    await using second = await busyboxRoot({ libraries: true });
    const stack = `web1,sudo,bwrap=${first.path}`;
    const words = ["exec", "--provision=always", stack, "cat /etc/passwd; id -un; pwd; exit 3"];
    const { code, stdout, stderr } = await world.run(...words);
    const passwd = "admin:x:0:0:root:/root:/bin/sh\n";
    assertEquals([code, stdout, stderr], [3, `${passwd}admin\n/root\n`, ""]);
    const runtimes = async () => (await world.status()).map(({ runtime }) => runtime);
    assertEquals(await runtimes(), ["deno", "deno", "deno"], await world.log());
    const before = world.proxy.bytesToServer;
    const nested = await world.run("exec", `web1,sudo,bwrap=${second.path},local`, "echo nested");
    assertEquals([nested.stdout, nested.stderr], ["nested\n", ""]);
    assertEquals(await runtimes(), Array(5).fill("deno"), await world.log());
    assert(world.proxy.bytesToServer - before < LITTLE);
    const { stdout: removed } = await world.run("unprovision", stack);
    assertMatch(removed, /^removed \/root\/\.cache\/holdfast\/[0-9a-f]{64}\n$/);
    assertEquals([...Deno.readDirSync(first.join("root"))], []);
    assert(await exists(second.join("root/.cache/holdfast")));
  },
);

sandboxes(
  "provision: what is in a sandbox already is found when that is opened again",
  async () => {
    await using world = await World.create({ sudo: "nopasswd" });
    await using root = await busyboxRoot({ libraries: true });
    const stack = `web1,sudo,bwrap=${root.path}`;
    const exec = () => world.run("exec", "--provision=always", stack, "echo hi");
    assertEquals((await exec()).stdout, "hi\n");
    await world.run("disconnect", "web1");
    await world.workspace.run("stop");
    const before = world.proxy.bytesToServer;
    assertEquals((await world.run("exec", "--provision=never", stack, "echo hi")).stdout, "hi\n");
    const runtimes = (await world.status()).map(({ runtime }) => runtime);
    assertEquals(runtimes, ["deno", "deno", "deno"], await world.log());
    assert(world.proxy.bytesToServer - before < LITTLE);
  },
);

sandboxes("provision: a transfer into a sandbox that is cut goes on where it stopped", async () => {
  await using world = await World.create({ sudo: "nopasswd" });
  await using root = await busyboxRoot({ libraries: true });
  const { size } = await Deno.stat(await builtFile());
  const middle = size >> 13; // in blocks of 4096 bytes
  // A dd that notes where each piece goes, and waits in the middle while there is something to wait for. Busybox's own
  // shell would not look for it.
  const dd = [
    "#!/bin/sh",
    "for word; do case $word in seek=*) at=${word#seek=};; esac; done",
    "case $* in *part-*)",
    `  echo $at >>/pieces; [ $at -lt ${middle} ] || [ ! -p /hold ] || read -r _ </hold;;`,
    "esac",
    'exec busybox dd "$@"',
    "",
  ].join("\n");
  await Deno.remove(root.join("bin/sh"));
  await Deno.copyFile(findExecutable("dash")!, root.join("bin/sh"));
  await Deno.writeTextFile(root.join("bin/dd"), dd, { mode: 0o755 });
  await new Deno.Command("mkfifo", { args: [root.join("hold")] }).output();
  const pieces = async () => {
    const text = await Deno.readTextFile(root.join("pieces"));
    await Deno.remove(root.join("pieces"));
    return text.trimEnd().split("\n").map(Number);
  };
  const stack = `web1,sudo,bwrap=${root.path}`;
  const first = world.run("exec", "--provision=always", stack, "true");
  // Resolves when there is a reader; one that never comes is a failure, and no hanging test.
  const held = Deno.open(root.join("hold"), { write: true });
  const failed = first.then(() => Deno.open(root.join("hold"), { read: true, write: true }));
  const hold = await held;
  await Deno.remove(root.join("hold"));
  await world.proxy.cut();
  assertEquals((await first).code, 255);
  hold.close();
  (await failed.catch(() => null))?.close();
  const before = await pieces();
  assertEquals(before[0], 0);
  const bytes = world.proxy.bytesToServer;
  const { code, stdout, stderr } = await world.run("exec", "--provision=always", stack, "echo hi");
  assertEquals([code, stdout, stderr], [0, "hi\n", ""]);
  const runtimes = (await world.status()).map(({ runtime }) => runtime);
  assertEquals(runtimes, ["deno", "deno", "deno"], await world.log());
  const [from] = await pieces();
  assert(from >= before.at(-1)!, `${from} < ${before.at(-1)}`);
  assert(world.proxy.bytesToServer - bytes < LITTLE);
});

sandboxes(
  "provision: a sandbox where nothing would last is served directly, and told",
  async () => {
    await using root = await busyboxRoot({ libraries: true });
    // The machine's own node: then whatever is sent is for the sandbox.
    await using world = await World.create({
      ...{ sudo: "nopasswd", runtimes: ["node"] },
      mounts: { [root.path]: "ro" },
    });
    const stack = `web1,sudo,bwrap=${root.path}`;
    for (let use = 0; use < 2; use++) {
      const words = ["exec", "--provision=always", stack, "id -un; echo err >&2; exit 3"];
      const { code, stdout, stderr } = await world.run(...words);
      assertEquals([code, stdout, stderr], [3, "admin\n", "err\n"]);
    }
    const { state, runtime, provision } = (await world.status()).at(-1)!;
    assertEquals([state, runtime], ["direct", null]);
    const readOnly = "it cannot be made (Read-only file system)";
    assertEquals(
      provision,
      `Cannot provision: no directory takes it: /root/.cache/holdfast: ${readOnly}; ` +
        `/tmp/holdfast-0: ${readOnly}; /dev/shm/holdfast-0: it would end with this hop`,
    );
    assert((await world.log()).includes(`${stack}: served directly: ${provision}`));
    assert((await world.run("status")).stdout.endsWith(`\n${stack}: ${provision}\n`));
    assert(world.proxy.bytesToServer < LITTLE);
  },
);
