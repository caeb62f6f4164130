/** Targets without a runtime are given one: by which rules, over which ways, and what comes of it where it cannot be. */

import { assert, assertEquals, assertMatch, assertRejects } from "../support/assert.ts";
import { builtFile } from "../support/built_file.ts";
import { Workspace } from "../support/holdfast.ts";
import type { Mount } from "../support/without_runtimes.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { CORE, LITTLE, World } from "./provision_world.ts";

const hosts = test.needs("linux", "root", "sshd", "namespaces", "gzip", "tar", "sha256sum");

hosts("provision always: the first command waits, and has a full context", async () => {
  await using world = await World.create();
  const { code, stdout, stderr } = await world.run("exec", "--provision=always", "web1", "echo hi");
  assertEquals([code, stdout, stderr], [0, "hi\n", ""]);
  const [{ state, runtime, provision }] = await world.status();
  assertEquals([state, runtime, provision], ["ready", "deno", null], await world.log());
  assertMatch(await world.log(), / web1: sending \/.*, \d+\.\d MB\n/);
  // The core is built in: without it no more goes there than what begins a link.
  assert((await world.status())[0].sent < CORE);
});

hosts("provision: another connection finds what is there, and sends none of it", async () => {
  await using world = await World.create();
  assertEquals((await world.run("exec", "--provision=always", "web1", "true")).code, 0);
  await world.run("stop");
  const before = world.proxy.bytesToServer;
  for (const policy of ["never", "auto"]) {
    const { stdout } = await world.run("exec", `--provision=${policy}`, "web1", "echo again");
    assertEquals(stdout, "again\n");
  }
  assertEquals((await world.status())[0].runtime, "deno", await world.log());
  assert(world.proxy.bytesToServer - before < LITTLE);
});

hosts(
  "provision auto: the first use is served directly, and the second makes it a context",
  async () => {
    await using world = await World.create();
    for (const expected of [[], ["deno"]]) {
      assertEquals((await world.run("exec", "web1", "echo hi")).stdout, "hi\n");
      await world.settled();
      const found = (await world.status()).flatMap(({ runtime }) => runtime ?? []);
      assertEquals(found, expected, await world.log());
    }
  },
);

hosts("provision never: it stays as it is, however often it is used", async () => {
  await using world = await World.create();
  for (let use = 0; use < 3; use++) {
    assertEquals((await world.run("exec", "--provision=never", "web1", "echo hi")).code, 0);
  }
  const [{ state, provision }] = await world.status();
  assertEquals([state, provision], ["direct", null]);
  assert(world.proxy.bytesToServer < LITTLE);
  assertEquals(await world.left(), []);
});

hosts("provision: the hosts file and the environment say it, too", async () => {
  await using world = await World.create();
  const directory = `${world.workspace.home}/.config/holdfast`;
  await Deno.mkdir(directory, { recursive: true });
  await Deno.writeTextFile(`${directory}/hosts.toml`, '[hosts.web1]\nprovision = "always"\n');
  assertEquals((await world.run("exec", "web1", "true")).code, 0);
  assertEquals((await world.status())[0].runtime, "deno", await world.log());
  world.env.HOLDFAST_PROVISION = "sometimes";
  const { code, stderr } = await world.run("exec", "web1", "true");
  assertEquals(code, 2);
  assertMatch(stderr, /HOLDFAST_PROVISION: "sometimes" is not one of auto, never, always/);
});

hosts("provision: a host with node only is left alone", async () => {
  await using world = await World.create({ runtimes: ["node"] });
  for (let use = 0; use < 3; use++) {
    assertEquals((await world.run("exec", "--provision=always", "web1", "echo hi")).code, 0);
  }
  assertEquals((await world.status())[0].runtime, "node");
  assertEquals(await world.left(), []);
});

hosts("unprovision: leaves nothing, and the host is served directly again", async () => {
  await using world = await World.create();
  assertEquals((await world.run("exec", "--provision=always", "web1", "true")).code, 0);
  await world.account.write(`.cache/holdfast/part-${"0".repeat(64)}`, "half");
  const { code, stdout, stderr } = await world.run("unprovision", "web1");
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^removed \/\S+\/holdfast\/[0-9a-f]{64}\nremoved \/\S+\/part-0+\n$/);
  assertEquals(await world.left(), []);
  for (let use = 0; use < 2; use++) { // the second waits for what is known of a core
    assertEquals((await world.run("exec", "--provision=never", "web1", "echo hi")).code, 0);
  }
  assertEquals((await world.status())[0].state, "direct");
  assertEquals((await world.run("unprovision", "web1")).stdout, "web1 was given nothing\n");
});

hosts("provision: a cut transfer goes on where it stopped", async () => {
  await using world = await World.create();
  const { size } = await Deno.stat(await builtFile());
  const stopped = world.proxy.freezeAfter("toServer", size >> 1);
  const first = world.run("exec", "--provision=always", "web1", "true");
  await stopped;
  const cut = world.proxy.cut();
  world.proxy.thaw();
  await cut;
  assertEquals((await first).code, 255);
  const before = world.proxy.bytesToServer;
  const { code, stderr } = await world.run("exec", "--provision=always", "web1", "true");
  assertEquals([code, stderr], [0, ""]);
  assertEquals((await world.status())[0].runtime, "deno", await world.log());
  // What was under way when it was cut goes again.
  assert(world.proxy.bytesToServer - before < 0.7 * size);
});

hosts("provision: one changed byte is refused and nothing is run", async () => {
  await using world = await World.create();
  const file = await Deno.readFile(await builtFile());
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", file)).toHex();
  const part = `.cache/holdfast/part-${digest}`;
  await world.account.write(part, "");
  file[file.length >> 2] ^= 1;
  await Deno.writeFile(`${world.account.home}/${part}`, file.subarray(0, file.length >> 1));
  const { code, stdout } = await world.run("exec", "--provision=always", "web1", "echo hi");
  assertEquals([code, stdout], [0, "hi\n"]);
  const [{ state, provision }] = await world.status();
  assertEquals([state, provision], [
    "direct",
    "Cannot provision: what came is damaged (its checksum is another)",
  ]);
  assertEquals(await world.left(), []);
  // All of it is sent anew by the next connection.
  await world.run("disconnect", "web1");
  assertEquals((await world.run("exec", "--provision=always", "web1", "true")).code, 0);
  assertEquals((await world.status())[0].runtime, "deno");
});

/** Where nothing runs, besides the home. */
const NO_OTHER: Record<string, Mount> = { "/tmp": "noexec", "/dev/shm": "noexec" };

const impossible: [what: string, mounts: Record<string, Mount>, why: RegExp][] = [
  [
    "a home that is read-only",
    { ...NO_OTHER, "/home": "ro" },
    /: no directory takes it: \/home\/\S+\/holdfast: it cannot be made \(Read-only file system\); /,
  ],
  [
    "a home from which no programs run",
    { ...NO_OTHER, "/home": "noexec" },
    /: no directory takes it: \/home\/\S+\/holdfast: programs do not run from there; \/dev/,
  ],
];

for (const [what, mounts, why] of impossible) {
  hosts(`provision: ${what} is told, and served directly`, async () => {
    await using world = await World.create({ mounts });
    await world.refused(why);
  });
}

hosts("provision: a disk that is full is told before bytes are sent", async () => {
  await using world = await World.create({ mounts: { ...NO_OTHER, "/mnt": { empty: "100m" } } });
  await world.set("XDG_CACHE_HOME", "/mnt");
  await world.refused(/; \/mnt\/holdfast: it has \d+ MiB free and 1\d\d are needed/);
});

for (
  const [system, machine, why] of [
    ["Plan9", "sparc", /: nothing is built for "Plan9 sparc"$/],
    [
      "Darwin",
      "arm64",
      /: there is no built file for macos-arm64; put holdfast-macos-arm64 of version [\d.]+ beside \/.+$/,
    ],
    ["Linux", "aarch64", /: it has no \/lib\/ld-linux-aarch64.so.1 \(glibc\)$/],
  ] as const
) {
  hosts(`provision: ${system} on ${machine} is told, and served directly`, async () => {
    await using world = await World.create();
    const uname = `#!/bin/sh\ncase $1 in -s) echo ${system};; *) echo ${machine};; esac\n`;
    await world.account.write("own/uname", uname, { mode: 0o755 });
    await world.set("PATH", `${world.account.home}/own:/usr/local/bin:/usr/bin:/bin`);
    await world.refused(why);
  });
}

hosts(
  "provision: a home that takes nothing leaves memory, and unprovision finds it there",
  async () => {
    await using world = await World.create({ mounts: { "/home": "ro" } });
    const memory = `/dev/shm/holdfast-${world.account.uid}`;
    try {
      assertEquals((await world.run("exec", "--provision=always", "web1", "true")).code, 0);
      assertEquals((await world.status())[0].runtime, "deno", await world.log());
      assertEquals((await Deno.stat(memory)).mode! & 0o777, 0o700);
      await world.run("stop");
      const before = world.proxy.bytesToServer;
      assertEquals((await world.run("exec", "--provision=always", "web1", "true")).code, 0);
      assertEquals((await world.status())[0].runtime, "deno");
      assert(world.proxy.bytesToServer - before < LITTLE);
      assertEquals((await world.run("unprovision", "web1")).code, 0);
      await assertRejects(() => Deno.stat(memory), Deno.errors.NotFound);
    } finally {
      await Deno.remove(memory, { recursive: true }).catch(() => {});
    }
  },
);

hosts("provision: what others may have put there is not used", async () => {
  await using world = await World.create({ mounts: { "/home": "ro", "/tmp": "noexec" } });
  const memory = `/dev/shm/holdfast-${world.account.uid}`;
  const trap = `${memory}/${"0".repeat(64)}`;
  await Deno.mkdir(trap, { recursive: true });
  try {
    await Deno.writeTextFile(`${trap}/deno`, "#!/bin/sh\necho trapped\n", { mode: 0o755 });
    await Deno.writeTextFile(`${trap}/ready`, "");
    await world.refused(/; \/dev\/shm\/holdfast-\d+: it is not ours; /);
  } finally {
    await Deno.remove(memory, { recursive: true });
  }
});

hosts("provision: two parents at once both get there", async () => {
  await using one = await World.create();
  await using other = await Workspace.create();
  await Deno.copyFile(one.workspace.config, other.config);
  const runs = [one.workspace, other].map((workspace) =>
    one.runIn(workspace, "exec", "--provision=always", "web1", "echo hi")
  );
  for (const { stdout, stderr } of await Promise.all(runs)) {
    assertEquals([stdout, stderr], ["hi\n", ""]);
  }
  for (const workspace of [one.workspace, other]) {
    const log = await Deno.readTextFile(`${workspace.dir}/log`);
    assertEquals((await one.status(workspace))[0].runtime, "deno", log);
  }
  assertEquals((await one.left()).length, 1);
});

hosts("provision: old versions go, but none that runs, and none of another machine", async () => {
  await using world = await World.create();
  const [idle, busy, foreign] = ["a", "b", "c"].map((letter) => letter.repeat(64));
  for (const name of [idle, busy, foreign]) {
    await world.account.write(`.cache/holdfast/${name}/holdfast`, "old");
    await world.account.write(`.cache/holdfast/${name}/deno`, "exit 126", { mode: 0o755 });
  }
  await world.account.write(`.cache/holdfast/${foreign}/ready`, "");
  const program = `${world.cache}/${busy}/deno`;
  await Deno.copyFile("/bin/sleep", program);
  const { uid, gid } = await Deno.stat(world.account.home);
  const args = [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", program, "1000"];
  await using _ = new Deno.Command("setpriv", { args, stderr: "null" }).spawn();
  assertEquals((await world.run("exec", "--provision=always", "web1", "true")).code, 0);
  assertEquals((await world.status())[0].runtime, "deno", await world.log());
  const left = await world.left();
  assertEquals([left.length, left.includes(busy), left.includes(foreign)], [3, true, true]);
});

hosts("provision: the built file is found by whatever name it was called", async () => {
  await using world = await World.create();
  await using dir = await tempDir();
  await Deno.symlink(await builtFile(), dir.join("link"));
  const { HOLDFAST_PROVISION: _, ...env } = await world.workspace.env();
  const args = world.workspace.args("exec", "--provision=always", "web1", "true");
  const { success } = await new Deno.Command("sh", {
    args: ["-c", './link "$@"', "sh", ...args],
    cwd: dir.path,
    env,
    clearEnv: true,
    stdin: "null",
  }).output();
  assert(success);
  assertEquals((await world.status())[0].runtime, "deno", await world.log());
});
