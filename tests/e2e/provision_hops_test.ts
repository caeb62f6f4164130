/** Containers and what is behind sudo are given a runtime from the nearest context above. */

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { startContainer } from "../support/container.ts";
import { test } from "../support/test.ts";
import { rootsHome } from "../support/without_runtimes.ts";
import { exists, LITTLE, World } from "./provision_world.ts";

const containers = test.needs(
  ...["linux", "root", "sshd", "namespaces", "gzip", "tar", "sha256sum"],
  ...["sudo", "podman", "runc", "busybox"],
);

containers(
  "provision: through ssh and sudo into containers, with one copy over the first link",
  async () => {
    await using world = await World.create({ sudo: "nopasswd" });
    await using first = await startContainer({ libraries: true });
    await using second = await startContainer({ libraries: true });
    const stack = `web1,sudo,podman=${first.name}`;
    const words = ["exec", "--provision=always", stack, "cat /etc/passwd; id -u"];
    const { code, stdout, stderr } = await world.run(...words);
    assertEquals([code, stdout, stderr], [0, "root:x:0:0:root:/root:/bin/sh\n0\n", ""]);
    const runtimes = async () => (await world.status()).map(({ runtime }) => runtime);
    assertEquals(await runtimes(), ["deno", "deno", "deno"], await world.log());
    const before = world.proxy.bytesToServer;
    const nested = await world.run("exec", `web1,sudo,podman=${second.name},local`, "echo nested");
    assertEquals([nested.stdout, nested.stderr], ["nested\n", ""]);
    assertEquals(await runtimes(), Array(5).fill("deno"), await world.log());
    assert(world.proxy.bytesToServer - before < LITTLE);
    const { stdout: removed } = await world.run("unprovision", stack);
    assertMatch(removed, /^removed \/root\/\.cache\/holdfast\/[0-9a-f]{64}\n$/);
    assertEquals(await first.run("/bin/busybox", "find", "/root"), "/root\n/root/.profile\n");
  },
);

containers(
  "provision: a host with a runtime of its own keeps the file for what is behind it",
  async () => {
    await using world = await World.create({ sudo: "nopasswd", runtimes: ["node"] });
    await using first = await startContainer({ libraries: true });
    await using second = await startContainer({ libraries: true });
    const stack = (name: string) => `web1,sudo,podman=${name}`;
    const one = await world.run("exec", stack(first.name), "cat /etc/passwd");
    assertEquals([one.stdout, one.stderr], ["root:x:0:0:root:/root:/bin/sh\n", ""]);
    const log = await world.log();
    assertEquals(log.match(/ sending .* for what is behind it/g)?.length, 1, log);
    assertEquals((await world.status()).map(({ runtime }) => runtime), ["node", "node", "deno"]);
    const [directory] = await world.left();
    assert(!await exists(`${world.cache}/${directory}/deno`));
    const before = world.proxy.bytesToServer;
    const two = await world.run("exec", `${stack(second.name)},local`, "echo nested");
    assertEquals([two.stdout, two.stderr], ["nested\n", ""]);
    assert(world.proxy.bytesToServer - before < LITTLE);
  },
);

containers(
  "provision auto: a stack is served directly first, and goes by contexts later",
  async () => {
    await using world = await World.create({ sudo: "nopasswd" });
    await using box = await startContainer({ libraries: true });
    const stack = `web1,sudo,podman=${box.name}`;
    for (const expected of [[null, null, null], ["deno", null, null], ["deno", "deno", "deno"]]) {
      const { stdout, stderr } = await world.run("exec", stack, "echo hi");
      assertEquals([stdout, stderr], ["hi\n", ""]);
      await world.settled();
      const runtimes = (await world.status()).map(({ runtime }) => runtime);
      assertEquals(runtimes, expected, await world.log());
    }
  },
);

for (const runtime of ["node", "bun"] as const) {
  containers(`bootstrap: its core goes on to a context on ${runtime}`, async () => {
    await using world = await World.create({ sudo: "nopasswd" });
    await using box = await startContainer({ runtimes: [runtime] });
    const stack = `web1,sudo,podman=${box.name}`;
    const words = ["exec", "--provision=always", `${stack},local`, "echo nested"];
    const { stdout, stderr } = await world.run(...words);
    assertEquals([stdout, stderr], ["nested\n", ""]);
    const runtimes = (await world.status()).map(({ runtime }) => runtime);
    assertEquals(runtimes, ["deno", "deno", runtime, runtime]);
  });
}

containers("provision: a password is asked for once, whatever the hop is given", async () => {
  const password = "s3cret-word";
  await using world = await World.create({ sudo: "password", password });
  const asked = world.workspace.join("asked");
  const answer = `--password-command=echo x >>${asked}; echo ${password}`;
  const { code, stdout, stderr } = await world.run(
    ...["exec", "--provision=always", answer, "web1,sudo", "id -u"],
  );
  assertEquals([code, stdout, stderr], [0, "0\n", ""]);
  assertEquals(await Deno.readTextFile(asked), "x\n");
  assertEquals((await world.status()).map(({ runtime }) => runtime), ["deno", "deno"]);
  assert(!(await world.log()).includes(password));
});

containers(
  "provision never: a password is asked for once, though its tool runs for every command",
  async () => {
    const password = "s3cret-word";
    await using world = await World.create({ sudo: "password", password });
    const asked = world.workspace.join("asked");
    const exec = (policy: string, answer: string, target: string, command: string) =>
      world.run("exec", `--provision=${policy}`, `--password-command=${answer}`, target, command);
    assertEquals((await exec("always", "false", "web1", "true")).code, 0);
    const wrong = await exec("never", "echo wrong", "web1,sudo", "true");
    assertEquals(wrong.code, 255);
    assertMatch(wrong.stderr, /^holdfast: web1,sudo: [^\n]*password[^\n]*\n$/);
    const answer = `echo x >>${asked}; echo ${password}`;
    const runs = ["1", "2"].map((name) =>
      exec("never", answer, "web1,sudo", `cat; echo ${name}; id -u`)
    );
    for (const [at, { code, stdout, stderr }] of (await Promise.all(runs)).entries()) {
      assertEquals([code, stdout, stderr], [0, `${at + 1}\n0\n`, ""]);
    }
    const { code, stdout, stderr } = await exec(
      "never",
      "false",
      "web1,sudo",
      "echo out; echo err >&2; exit 3",
    );
    assertEquals([code, stdout, stderr], [3, "out\n", "err\n"]);
    assertEquals(await Deno.readTextFile(asked), "x\n");
    const states = (await world.status()).map(({ state, provision }) => [state, provision]);
    assertEquals(states, [["ready", null], ["direct", null]]);
    assert(!(await world.log()).includes(password));
  },
);

containers(
  "provision never: behind a hop that is served directly there may be a context",
  async () => {
    await using world = await World.create({ sudo: "nopasswd" });
    await world.workspace.addHost("inner", { user: world.account.name, port: world.proxy.port });
    assertEquals((await world.run("exec", "--provision=always", "web1", "true")).code, 0);
    const back = `web1,sudo,sudo=${world.account.name}`;
    for (const target of [`${back},local`, "web1,sudo,inner,local"]) {
      for (let use = 0; use < 2; use++) { // the second waits for what is known of a core
        const { stdout, stderr } = await world.run("exec", "--provision=never", target, "id -un");
        assertEquals([stdout, stderr], [`${world.account.name}\n`, ""]);
      }
    }
    const runtimes = Object.fromEntries(
      (await world.status()).map(({ target, runtime }) => [target, runtime]),
    );
    assertEquals(runtimes, {
      ...{ web1: "deno", "web1,sudo": null, [back]: "deno", [`${back},local`]: "deno" },
      ...{ "web1,sudo,inner": "deno", "web1,sudo,inner,local": "deno" },
    });
  },
);

containers("provision: behind sudo, where there is no room or programs do not run", async () => {
  await using world = await World.create({
    sudo: "nopasswd",
    mounts: { [rootsHome()]: { empty: "60m" }, "/tmp": "noexec", "/dev/shm": "noexec" },
  });
  for (let use = 0; use < 2; use++) {
    const words = ["exec", "--provision=always", "web1,sudo", "id -u; echo err >&2; exit 3"];
    const { code, stdout, stderr } = await world.run(...words);
    assertEquals([code, stdout, stderr], [3, "0\n", "err\n"]);
  }
  const [web1, { state, provision }] = await world.status();
  assertEquals([web1.runtime, state], ["deno", "direct"]);
  assertMatch(
    provision!,
    /^Cannot provision: no directory takes it: (\/dev\/shm|\/tmp)\/holdfast-0: programs do not run from there; \S+: programs do not run from there; \/root\/.cache\/holdfast: it has \d+ MiB free and \d+ are needed$/,
  );
  assertEquals((await world.run("exec", "web1,sudo", "find /root -name holdfast")).stdout, "");
});

containers("provision: what a container lacks is told, before bytes are sent", async () => {
  await using world = await World.create({ sudo: "nopasswd", runtimes: ["node"] });
  await using box = await startContainer();
  const stack = `web1,sudo,podman=${box.name}`;
  const change = (script: string) => box.run("/bin/busybox", "sh", "-c", script);
  const loader = "/lib64/ld-linux-x86-64.so.2";
  const steps = [
    ["", `it has no ${loader} (glibc)`],
    ["busybox mkdir /lib; : >/lib/ld-musl-x86_64.so.1", "it has musl, and the runtime needs glibc"],
    [`busybox mkdir /lib64; : >${loader}`, "it has no libc.so.6"],
    [": >/lib64/libc.so.6", "its glibc is older than 2.27"],
    ["echo GLIBC_2.27 >/lib64/libc.so.6", "it has no libdl.so.2"],
  ];
  for (const [script, why] of steps) {
    await change(script);
    const { code, stdout, stderr } = await world.run("exec", stack, "echo hi");
    assertEquals([code, stdout, stderr], [0, "hi\n", ""]);
    const { state, runtime, provision } = (await world.status()).at(-1)!;
    assertEquals([state, runtime, provision], ["direct", null, `Cannot provision: ${why}`]);
    assert((await world.log()).includes(`${stack}: served directly: ${provision}`));
    assert((await world.run("status")).stdout.endsWith(`\n${stack}: ${provision}\n`));
    await world.run("disconnect", stack);
  }
  assert(world.proxy.bytesToServer < LITTLE);
});

containers(
  "provision: a container served directly by choice is given a runtime when that changes",
  async () => {
    await using world = await World.create({ sudo: "nopasswd" });
    await using box = await startContainer({ libraries: true });
    const stack = `web1,sudo,podman=${box.name}`;
    const run = async (policy: string) => {
      const { stdout, stderr } = await world.run("exec", `--provision=${policy}`, stack, "echo hi");
      assertEquals([stdout, stderr], ["hi\n", ""]);
      return (await world.status()).map(({ state, runtime, provision }) =>
        runtime ?? provision ?? state
      );
    };
    assertEquals(await run("always"), ["deno", "deno", "deno"], await world.log());
    assertMatch((await world.run("unprovision", stack)).stdout, /^removed /);
    assertEquals(await run("never"), ["deno", "deno", "direct"]);
    assertEquals(await run("never"), ["deno", "deno", "direct"]);
    assertEquals(await run("auto"), ["deno", "deno", "deno"]);
  },
);
