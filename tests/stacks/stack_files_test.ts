/** Where names are looked up on a client's behalf, and what is remembered of it. */
import { HoldfastError } from "../../lib/core/errors.ts";
import { InventoryFiles } from "../../lib/stacks/inventory_files.ts";
import { StackFiles } from "../../lib/stacks/stack_files.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../support/assert.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";

const signal = new AbortController().signal;

async function write(dir: TempDir, name: string, text: string): Promise<string> {
  const path = dir.join(name);
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  await Deno.writeTextFile(path, text, { mode: 0o600 });
  return path;
}

/** The host that `name` stands for, or undefined. */
async function look(
  files: StackFiles,
  name: string,
  { env, cwd = "/" }: { env: Record<string, string>; cwd?: string },
): Promise<string | undefined> {
  const sources = files.sourcesFor({ env, cwd, signal });
  const entry = (await sources.hosts())?.entry(name) ?? (await sources.inventory())?.entry(name);
  return entry?.kind === "machine" && entry.hop.method === "ssh" ? entry.hop.host : undefined;
}

test("hosts file: found as the environment says", async () => {
  await using dir = await tempDir();
  for (const name of ["home/.config/holdfast/hosts.toml", "xdg/holdfast/hosts.toml", "own.toml"]) {
    await write(dir, name, `[hosts.a]\nhost = "${name.split("/")[0]}"`);
  }
  const HOME = dir.join("home");
  const XDG_CONFIG_HOME = dir.join("xdg");
  const files = new StackFiles();
  const cases: [env: Record<string, string>, expected: string | undefined][] = [
    [{ HOME }, "home"],
    [{ HOME, XDG_CONFIG_HOME }, "xdg"],
    [{ HOME, XDG_CONFIG_HOME: "xdg" }, "home"],
    [{ HOME, XDG_CONFIG_HOME: "" }, "home"],
    [{ HOME, XDG_CONFIG_HOME, HOLDFAST_HOSTS: dir.join("own.toml") }, "own.toml"],
    [{ HOME, HOLDFAST_HOSTS: "own.toml" }, "own.toml"],
    [{ HOME, HOLDFAST_HOSTS: "" }, "home"],
    [{ HOME, HOLDFAST_HOSTS: "none" }, undefined],
    [{ HOME: dir.path }, undefined],
    [{ HOME: dir.join("own.toml") }, undefined],
    [{}, undefined],
  ];
  for (const [env, expected] of cases) {
    assertEquals(await look(files, "a", { env, cwd: dir.path }), expected, JSON.stringify(env));
  }
});

test("hosts file: read again when it changes, and only then", async () => {
  await using dir = await tempDir();
  const path = await write(dir, "h.toml", '[hosts.a]\nhost = "one"');
  const env = { HOLDFAST_HOSTS: path };
  const files = new StackFiles();
  const hosts = () => files.sourcesFor({ env, cwd: "/", signal }).hosts();
  const first = await hosts();
  assert(await hosts() === first, "the same object");
  await write(dir, "h.toml", '[hosts.a]\nhost = "three"');
  assertEquals(await look(files, "a", { env }), "three");
  await write(dir, "h.toml", "[hosts.a\n");
  await assertRejects(() => look(files, "a", { env }), HoldfastError, "line 1, column");
  await Deno.remove(path);
  await assertRejects(() => look(files, "a", { env }), HoldfastError, "it does not exist");
  await write(dir, "h.toml", '[hosts.a]\nhost = "four"');
  assertEquals(await look(files, "a", { env }), "four");
});

test("hosts file: what others could have written is refused", async () => {
  await using dir = await tempDir();
  const path = await write(dir, "h.toml", "[hosts.a]");
  await Deno.mkdir(dir.join("d"));
  const refused = async (file: string, why: string) => {
    const env = { HOLDFAST_HOSTS: file };
    const error = await assertRejects(() => look(new StackFiles(), "a", { env }), HoldfastError);
    assertEquals(error.kind, "resolve");
    assertStringIncludes(error.message, `Cannot read "${file}": ${why}`);
  };
  for (const mode of [0o620, 0o602]) {
    await Deno.chmod(path, mode);
    await refused(path, "others can write it; run chmod go-w");
  }
  await refused(dir.join("d"), "it is not a regular file");
  await refused("/dev/zero", "it is not a regular file");
  await refused(dir.join("gone"), "it does not exist");
});

test.needs("root")("hosts file: another user's is refused", async () => {
  await using dir = await tempDir();
  const path = await write(dir, "h.toml", "[hosts.a]");
  await Deno.chown(path, 65534, 65534);
  const env = { HOLDFAST_HOSTS: path };
  await assertRejects(
    () => look(new StackFiles(), "a", { env }),
    HoldfastError,
    "it belongs to somebody else",
  );
});

/** An inventory in which Ansible is replaced by a count of how often it is asked. */
async function counted(dir: TempDir, inventory: string) {
  const clock = { now: 0 };
  const asked: string[][] = [];
  const inventories = new InventoryFiles({
    now: () => clock.now,
    run: async ({ paths }) => {
      asked.push(paths);
      const a = { ansible_host: `answer-${asked.length}` };
      return JSON.stringify({ _meta: { hostvars: { a } } });
    },
  });
  const env = {
    HOME: dir.path,
    HOLDFAST_HOSTS: await write(dir, "h.toml", `[defaults]\ninventory = ${inventory}`),
  };
  const files = new StackFiles({ inventories });
  return { asked, clock, ask: () => look(files, "a", { env }) };
}

test("inventory: Ansible is asked again when one of its files changes, and only then", async () => {
  await using dir = await tempDir();
  await write(dir, "i/hosts", "a\n");
  const { asked, ask } = await counted(dir, '"~/i/hosts"');
  assertEquals(await Promise.all([ask(), ask(), ask()]), Array(3).fill("answer-1"));
  assertEquals(await ask(), "answer-1");
  const changes: [name: string, text: string][] = [
    ["i/hosts", "a\nb\n"],
    ["i/group_vars/all.yml", "x: 1\n"],
    ["i/group_vars/all.yml", "x: 11\n"],
    ["i/host_vars/a/deep.yml", "x: 1\n"],
    ["i/ansible.cfg", "[defaults]\n"],
  ];
  for (const [index, [name, text]] of changes.entries()) {
    await write(dir, name, text);
    assertEquals(await ask(), `answer-${index + 2}`, `${name} ${text}`);
    assertEquals(await ask(), `answer-${index + 2}`);
  }
  await write(dir, "i/unrelated", "x");
  assertEquals(await ask(), `answer-${changes.length + 1}`);
  assertEquals(asked, Array(changes.length + 1).fill([dir.join("i/hosts")]));
  await Deno.remove(dir.join("i/hosts"));
  await assertRejects(ask, HoldfastError, 'hosts": it does not exist');
});

test("inventory: every file of a directory counts", async () => {
  await using dir = await tempDir();
  await write(dir, "i/hosts", "a\n");
  const { ask } = await counted(dir, '"i"');
  assertEquals(await ask(), "answer-1");
  await write(dir, "i/more", "b\n");
  assertEquals(await ask(), "answer-2");
  await write(dir, "i/more", "bb\n");
  assertEquals(await ask(), "answer-3");
  assertEquals(await ask(), "answer-3");
});

for (
  const [what, name, text, mode] of [
    ["a script", "i", "#!/bin/sh\n", 0o700],
    [
      "a plugin that asks elsewhere",
      "cloud.aws_ec2.yml",
      "# x\nplugin: amazon.aws.aws_ec2\n",
      0o600,
    ],
  ] as const
) {
  test(`inventory: the answer of ${what} lives a minute`, async () => {
    await using dir = await tempDir();
    await Deno.chmod(await write(dir, name, text), mode);
    const { ask, clock } = await counted(dir, `"${name}"`);
    const answers: (string | undefined)[] = [];
    for (const now of [0, 59_999, 60_000, 60_001]) {
      clock.now = now;
      answers.push(await ask());
    }
    assertEquals(answers, ["answer-1", "answer-1", "answer-2", "answer-2"]);
  });
}

test("inventory: a file with Ansible's output needs no Ansible, and the first of several wins", async () => {
  await using dir = await tempDir();
  const output = (host: string) =>
    JSON.stringify({ _meta: { hostvars: { a: { ansible_host: host } } } });
  await write(dir, "one.json", output("one"));
  await write(dir, "two.json", output("two"));
  await write(dir, "static.json", '{"all": {"hosts": {"a": {}}}}');
  const only = await counted(dir, '["one.json", "two.json"]');
  assertEquals(await only.ask(), "one");
  await write(dir, "one.json", output("other"));
  assertEquals([await only.ask(), only.asked], ["other", []]);
  const mixed = await counted(dir, '["static.json", "two.json"]');
  assertEquals(await mixed.ask(), "answer-1");
  assertEquals(mixed.asked, [[dir.join("static.json")]]);
});

test("inventory: a reading goes on as long as anybody waits for it", async () => {
  await using dir = await tempDir();
  const path = await write(dir, "i", "a\n");
  const started = Promise.withResolvers<AbortSignal>();
  const inventories = new InventoryFiles({
    run: ({ signal }) => {
      started.resolve(signal);
      return new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason))
      );
    },
  });
  const enough = new HoldfastError("cancelled", "enough");
  const load = (signal: AbortSignal) => inventories.load({ paths: [path], env: {}, signal });
  const patient = new AbortController();
  const waiting = load(patient.signal);
  const running = await started.promise;
  await assertRejects(() => load(AbortSignal.abort(enough)), HoldfastError, "enough");
  assertEquals(running.aborted, false, "somebody waits");
  patient.abort(enough);
  await assertRejects(() => waiting, HoldfastError, "enough");
  assertEquals(running.aborted, true, "nobody does");
});
