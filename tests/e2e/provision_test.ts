/** Targets without a runtime are given one: by which rules, over which ways, and what comes of it where it cannot be. */

import { type Account, type AccountOptions, createAccount } from "../support/accounts.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../support/assert.ts";
import { builtFile } from "../support/built_file.ts";
import { type DelayProxy, startDelayProxy } from "../support/delay_proxy.ts";
import { type Outcome, Workspace } from "../support/holdfast.ts";
import { startContainer } from "../support/container.ts";
import { startSshd, type TestSshd } from "../support/sshd.ts";
import { type Mount, rootsHome } from "../support/without_runtimes.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";

const hosts = test.needs("linux", "root", "sshd", "namespaces", "gzip", "tar", "sha256sum");

const containers = test.needs(
  ...["linux", "root", "sshd", "namespaces", "gzip", "tar", "sha256sum"],
  ...["sudo", "podman", "runc", "busybox"],
);

/** More bytes than the first stage, but less than that and a core. */
const CORE = 11_000;
/** More bytes than some connections with their cores, but much less than a runtime. */
const LITTLE = 200_000;

/** What `status` tells of a connection, as far as it is looked at here. */
interface Status {
  target: string;
  state: string;
  runtime: string | null;
  provision: string | null;
  sent: number;
}

/** A host without a runtime behind a proxy that counts, and a user with the built file. */
class World implements AsyncDisposable {
  readonly account: Account;
  readonly proxy: DelayProxy;
  readonly workspace: Workspace;
  /** Added to the environment. */
  readonly env: Record<string, string> = {};
  readonly #file: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    parts: Pick<World, "account" | "proxy" | "workspace">,
    { file, stack }: { file: string; stack: AsyncDisposableStack },
  ) {
    this.account = parts.account;
    this.proxy = parts.proxy;
    this.workspace = parts.workspace;
    this.#file = file;
    this.#stack = stack;
  }

  static async create(
    { mounts, ...options }: AccountOptions & { mounts?: Record<string, Mount> } = {},
  ): Promise<World> {
    const file = await builtFile();
    await using stack = new AsyncDisposableStack();
    const root = { [rootsHome()]: { empty: "1g" } };
    const sshd: TestSshd = stack.use(await startSshd({ mounts: { ...root, ...mounts } }));
    const account = stack.use(await createAccount({ shell: "/bin/sh", ...options }));
    const proxy = stack.use(startDelayProxy({ port: sshd.port }));
    const workspace = stack.use(await Workspace.create());
    await workspace.addHost("web1", { user: account.name, port: proxy.port });
    await workspace.trust(sshd, { port: proxy.port });
    return new World({ account, proxy, workspace }, { file, stack: stack.move() });
  }

  /** Where the account's runtimes are put. */
  get cache(): string {
    return `${this.account.home}/.cache/holdfast`;
  }

  async run(...words: string[]): Promise<Pick<Outcome, "code" | "stdout" | "stderr">> {
    return await this.runIn(this.workspace, ...words);
  }

  async runIn(
    workspace: Workspace,
    ...words: string[]
  ): Promise<Pick<Outcome, "code" | "stdout" | "stderr">> {
    const [subcommand, ...args] = words;
    const { HOLDFAST_PROVISION: _, ...env } = await workspace.env();
    const { code, stdout, stderr } = await new Deno.Command(this.#file, {
      args: workspace.args(subcommand, ...args),
      env: { ...env, ...this.env },
      clearEnv: true,
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  /** Sets a variable for the account's sessions. */
  async set(name: string, value: string): Promise<void> {
    const path = `${this.account.home}/.ssh/environment`;
    const lines = (await Deno.readTextFile(path)).split("\n").filter((line) =>
      line && !line.startsWith(`${name}=`)
    );
    await Deno.writeTextFile(path, [...lines, `${name}=${value}`, ""].join("\n"));
  }

  /** Checks that it is served directly, with why it was not provisioned, and that nothing was sent or left. */
  async refused(why: RegExp): Promise<void> {
    const { code, stdout } = await this.run("exec", "--provision=always", "web1", "echo hi");
    assertEquals([code, stdout], [0, "hi\n"]);
    const [{ state, provision }] = await this.status();
    assertEquals(state, "direct");
    assertMatch(provision!, /^Cannot provision: /);
    assertMatch(provision!, why);
    assert((await this.log()).includes(`served directly: ${provision}`));
    assertMatch((await this.run("status")).stdout, /\nweb1: Cannot provision: /);
    assert(this.proxy.bytesToServer < LITTLE);
    assertEquals(await this.left(), []);
  }

  /** Resolves when nothing is being sent. */
  async settled(): Promise<void> {
    while ((await this.status()).some(({ provision }) => provision && !/^Cannot/.test(provision)));
  }

  /** What the account has of us in its home. */
  async left(): Promise<string[]> {
    const names: string[] = [];
    try {
      for await (const { name } of Deno.readDir(this.cache)) names.push(name);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return names;
  }

  async status(workspace: Workspace = this.workspace): Promise<Status[]> {
    const { stdout } = await this.runIn(workspace, "status", "--json");
    return JSON.parse(stdout).connections;
  }

  async log(): Promise<string> {
    return await Deno.readTextFile(`${this.workspace.dir}/log`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}

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
  assertEquals((await world.status())[0].runtime, "deno");
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
  const stopped = world.proxy.freezeAfter("toServer", size / 2);
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
    const { code, stderr } = await world.run("exec", stack, "true");
    assertEquals([code, stderr], [255, `holdfast: ${stack}: Cannot provision: ${why}\n`]);
  }
  const never = ["exec", "--provision=never", stack, "true"];
  assertMatch((await world.run(...never)).stderr, /: the target has no deno, node or bun\n$/);
});

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
