/** `holdfast stack`: what a client is told of the names in its user's own files. */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { Workspace } from "../support/holdfast.ts";
import { test } from "../support/test.ts";

/** Writes the user's hosts file; returns its path. */
async function writeHosts(workspace: Workspace, toml: string): Promise<string> {
  const directory = `${workspace.home}/.config/holdfast`;
  await Deno.mkdir(directory, { recursive: true });
  await Deno.writeTextFile(`${directory}/hosts.toml`, toml, { mode: 0o600 });
  return `${directory}/hosts.toml`;
}

test("stack: without files a TARGET is its own hops", async () => {
  await using workspace = await Workspace.create();
  const { code, stdout, stderr } = await workspace.run("stack", ["ann@web1:22,sudo=app"]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(
    stdout,
    "HOP  METHOD  ARGUMENT  OPTIONS       NAME         FROM\n" +
      "1    ssh     web1      -l ann -p 22  ann@web1:22  TARGET\n" +
      "2    sudo    app       -             sudo=app     TARGET\n",
  );
});

test("stack: names are replaced, and a change of the file shows at once", async () => {
  await using workspace = await Workspace.create();
  const file = await writeHosts(
    workspace,
    '[hosts.gate]\nhost = "10.0.0.1"\n\n[hosts.db1]\nvia = "gate"\nidentity = "k"\nbecome = "pg"\n',
  );
  const table = await workspace.run("stack", ["-p", "7", "ann@db1"]);
  assertEquals([table.code, table.stderr], [0, ""]);
  const rows = table.stdout.trimEnd().split("\n").map((row) => row.split(/ {2,}/));
  assertEquals(rows.slice(1), [
    ["1", "ssh", "10.0.0.1", "-", "gate", `${file}:1`],
    ["2", "ssh", "db1", `-l ann -p 7 -i ${file.replace("hosts.toml", "k")}`, "db1", `${file}:4`],
    ["3", "sudo", "pg", "-", "sudo=pg", `${file}:4`],
  ]);
  await writeHosts(workspace, '[hosts.db1]\nstack = "local,docker=db"\n');
  const { code, stdout } = await workspace.run("stack", ["--json", "db1"]);
  assertEquals(code, 0);
  const { target, hops } = JSON.parse(stdout);
  assertEquals(target, "db1");
  const nothing = {
    user: null,
    port: null,
    configFile: null,
    jump: null,
    identityFiles: [],
    options: [],
    password: false,
    source: `${file}:1`,
  };
  assertEquals(hops, [
    { method: "local", argument: null, name: "local", ...nothing },
    { method: "docker", argument: "db", name: "docker=db", ...nothing },
  ]);
});

test("stack: each client's own environment decides which file", async () => {
  await using workspace = await Workspace.create();
  await writeHosts(workspace, '[hosts.a]\nhost = "home"');
  await Deno.writeTextFile(workspace.join("own"), '[hosts.a]\nhost = "own"', { mode: 0o600 });
  const argument = async (env: Record<string, string>) => {
    const { stdout } = await workspace.run("stack", ["--json", "a"], {
      env,
      cwd: workspace.join(""),
    });
    return JSON.parse(stdout).hops[0].argument;
  };
  assertEquals(await argument({}), "home");
  assertEquals(await argument({ HOLDFAST_HOSTS: "own" }), "own");
  assertEquals(await argument({ XDG_CONFIG_HOME: workspace.join("") }), "a");
});

test("stack: a password of the inventory is known, and nowhere to be seen", async () => {
  await using workspace = await Workspace.create();
  await writeHosts(workspace, '[defaults]\ninventory = "~/inventory.json"');
  const web1 = {
    ansible_password: "geheim-1",
    ansible_become: true,
    ansible_become_password: "geheim-2",
  };
  const bad = { ansible_host: "{{ geheim-3 }}", ansible_password: "geheim-4" };
  await Deno.writeTextFile(
    `${workspace.home}/inventory.json`,
    JSON.stringify({ _meta: { hostvars: { web1, bad } } }),
  );
  await workspace.run("daemon", ["--log-level", "debug"]);
  const table = await workspace.run("stack", ["web1"]);
  assertMatch(table.stdout, /\n1 +ssh +web1 +\(password known\) +web1 +inventory /);
  assertMatch(table.stdout, /\n2 +sudo +- +\(password known\) +sudo +inventory /);
  const json = await workspace.run("stack", ["web1", "--json"]);
  assertEquals(JSON.parse(json.stdout).hops[0].password, true);
  const refused = await workspace.run("stack", ["--debug", "bad"]);
  assertEquals(refused.code, 255);
  assertMatch(
    refused.stderr,
    /^holdfast: Cannot use "bad" of inventory .*: ansible_host is a templ/,
  );
  const log = await Deno.readTextFile(`${workspace.dir}/log`);
  for (const text of [table, json, refused].map(({ stdout, stderr }) => stdout + stderr)) {
    assert(!text.includes("geheim"), text);
  }
  assert(!log.includes("geheim"), log);
});

test("stack: what cannot be resolved is one line and a status", async () => {
  await using workspace = await Workspace.create();
  const usage: [args: string[], message: RegExp][] = [
    [[], /^holdfast: Cannot resolve: TARGET is missing; usage: holdfast stack /],
    [["a", "b"], /^holdfast: Cannot resolve: only one TARGET can be given/],
    [["a,,b"], /^holdfast: Cannot read target "a,,b": a hop is empty/],
  ];
  for (const [args, message] of usage) {
    const { code, stdout, stderr } = await workspace.run("stack", args);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, message);
  }
  assertEquals(workspace.processes(), [], "no daemon for words that make no sense");
  await writeHosts(workspace, '[hosts.a]\nvia = "b"\n[hosts.b]\nvia = "a"\n');
  const circle = await workspace.run("stack", ["a"]);
  assertEquals([circle.code, circle.stdout], [255, ""]);
  assertEquals(
    circle.stderr,
    'holdfast: Cannot resolve "a": via forms a circle: a -> b -> a\n',
  );
  const file = await writeHosts(workspace, "[hosts.a]\nprot = 1\n");
  const { stderr } = await workspace.run("stack", ["a"]);
  assertEquals(
    stderr,
    `holdfast: Cannot read "${file}", line 2: there is no key hosts.a.prot; did you mean "port"?\n`,
  );
});
