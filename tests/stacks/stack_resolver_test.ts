/** Names to stacks: what wins over what, chains, circles and limits. */
import { HoldfastError } from "../../lib/core/errors.ts";
import { parseHostsFile } from "../../lib/stacks/hosts_file.ts";
import { Inventory } from "../../lib/stacks/inventory.ts";
import { type ResolvedHop, resolveStack } from "../../lib/stacks/stack_resolver.ts";
import type { SshOptions } from "../../lib/rendezvous/ssh_options.ts";
import { formatTarget, MAX_HOPS, parseTarget } from "../../lib/rendezvous/target.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";

const PATH = "/etc/holdfast/hosts.toml";

interface Given {
  toml?: string;
  /** Host variables. */
  inventory?: Record<string, Record<string, unknown>>;
  ssh?: SshOptions;
}

async function resolve(target: string, given: Given = {}): Promise<ResolvedHop[]> {
  const { toml, inventory: hostvars, ssh } = given;
  const hosts = toml === undefined ? null : await parseHostsFile(toml, { path: PATH });
  const inventory = hostvars === undefined ? null : new Inventory(
    JSON.stringify({ _meta: { hostvars } }),
    { source: "inventory i", directory: "/etc/ansible" },
  );
  const sources = { hosts: async () => hosts, inventory: async () => inventory };
  return await resolveStack(parseTarget(target), { sources, ssh });
}

async function stack(target: string, given: Given = {}): Promise<string> {
  return formatTarget((await resolve(target, given)).map(({ hop }) => hop));
}

const BASE = `
[hosts.bastion]
host = "10.0.0.1"
user = "gate"

[hosts.db1]
host = "10.0.0.5"
user = "ann"
port = 2222
identity = "~/.ssh/db"
options = ["ServerAliveInterval=5"]
via = "bastion"
become = "postgres"

[hosts.web1]
via = "joe@bastion:2200,ssh=db1"

[hosts.app]
stack = "bastion,web1,sudo=app"

[hosts.box]
stack = "local,docker=box"
`;
const VARS = {
  db1: { ansible_host: "192.0.2.9" },
  cache: { ansible_host: "192.0.2.7", ansible_user: "ops", ansible_port: "2022" },
};

const RESOLVED: [what: string, target: string, expected: string, given?: Given][] = [
  ["without files nothing changes", "ann@db1:22,sudo", "ann@db1:22,sudo", { toml: undefined }],
  ["an unknown name stays a host", "other", "other"],
  [
    "an entry, what leads there, who one becomes there",
    "db1",
    "gate@10.0.0.1,ann@10.0.0.5:2222,sudo=postgres",
  ],
  [
    "user and port in the TARGET win",
    "eve@db1:1,sudo",
    "gate@10.0.0.1,eve@10.0.0.5:1,sudo=postgres,sudo",
  ],
  ["ssh=NAME is the host itself", "ssh=db1", "db1"],
  ["other methods' arguments are no names", "openssh=db1,docker=db1", "openssh=db1,docker=db1"],
  ["user and port in via win over the entry's", "web1", "joe@10.0.0.1:2200,db1,web1"],
  [
    "a stack of names",
    "app",
    "gate@10.0.0.1,joe@10.0.0.1:2200,db1,web1,sudo=app",
  ],
  [
    "user and port for a stack are its last SSH host's",
    "eve@app:7",
    "gate@10.0.0.1,joe@10.0.0.1:2200,db1,eve@web1:7,sudo=app",
  ],
  ["a stack without SSH", "box", "local,docker=box"],
  ["the inventory comes second", "cache", "ops@192.0.2.7:2022", { inventory: VARS }],
  [
    "the hosts file comes first",
    "db1",
    "gate@10.0.0.1,ann@10.0.0.5:2222,sudo=postgres",
    { inventory: VARS },
  ],
  [
    "the hosts file may name hosts of the inventory",
    "far",
    "ops@192.0.2.7:2022,far",
    { toml: '[hosts.far]\nvia = "cache"', inventory: VARS },
  ],
  [
    "defaults are for the file's own entries",
    "a,b,cache",
    "dora@a:5,b,ops@192.0.2.7:2022",
    { toml: '[defaults]\nuser = "dora"\nport = 5\n[hosts.a]\n', inventory: VARS },
  ],
  [
    "an entry wins over the defaults",
    "a",
    "ann@a",
    { toml: '[defaults]\nuser = "dora"\n[hosts.a]\nuser = "ann"' },
  ],
  [
    "-l and -p win over the entry",
    "db1",
    "gate@10.0.0.1,lou@10.0.0.5:9,sudo=postgres",
    { ssh: { user: "lou", port: 9 } },
  ],
  [
    "the TARGET wins over -l and -p",
    "eve@db1:1",
    "gate@10.0.0.1,eve@10.0.0.5:1,sudo=postgres",
    { ssh: { user: "lou", port: 9 } },
  ],
  [
    "-l wins over the user in a stack's text",
    "a",
    "lou@bastion",
    { toml: '[hosts.a]\nstack = "joe@bastion"', ssh: { user: "lou" } },
  ],
  ["names are what they are: constructor", "constructor", "constructor"],
];

for (const [what, target, expected, given = {}] of RESOLVED) {
  Deno.test(`stack: ${what} (${target})`, async () => {
    assertEquals(await stack(target, { toml: BASE, ...given }), expected);
  });
}

Deno.test("stack: the order is TARGET, command line, entry; only -F is every host's", async () => {
  const ssh = { configFile: "f", identityFiles: ["k"], options: ["A=b"], jump: "j" };
  const [gate, db, become] = await resolve("db1", { toml: BASE, ssh });
  assertEquals(db.options, {
    configFile: "f",
    user: "ann",
    port: 2222,
    jump: "j",
    identityFiles: ["k", "~/.ssh/db"],
    options: ["A=b", "ServerAliveInterval=5"],
  });
  const { configFile, jump, identityFiles, options } = gate.options;
  assertEquals([configFile, jump, identityFiles, options], ["f", undefined, [], []]);
  assertEquals(become.options, {});
});

Deno.test("stack: every hop says what it is called and where it was defined", async () => {
  const hops = await resolve("db1,web1", { toml: BASE });
  assertEquals(hops.map(({ name, source }) => [name, source]), [
    ["bastion", `${PATH}:2`],
    ["db1", `${PATH}:6`],
    ["sudo=postgres", `${PATH}:6`],
    ["bastion", `${PATH}:2`],
    ["ssh=db1", `${PATH}:15`],
    ["web1", `${PATH}:15`],
  ]);
  const [plain] = await resolve("eve@other:2");
  assertEquals([plain.name, plain.source], ["eve@other:2", "TARGET"]);
});

const BECOME: [toml: string, expected: string][] = [
  ["true", "a,sudo"],
  ["false", "a"],
  ['"app"', "a,sudo=app"],
  ['{ method = "su" }', "a,su"],
  ['{ method = "doas", user = "app" }', "a,doas=app"],
  ['{ user = "app" }', "a,sudo=app"],
];
for (const [toml, expected] of BECOME) {
  Deno.test(`stack: become = ${toml}`, async () => {
    assertEquals(await stack("a", { toml: `[hosts.a]\nbecome = ${toml}` }), expected);
  });
}

Deno.test("stack: relative file names start beside the hosts file", async () => {
  const toml = '[hosts.a]\nidentity = ["k", "/k", "~/k", "${HOME}/k", "%d/k"]\n' +
    '[defaults]\ninventory = ["i", "/i", "~/i"]';
  const [{ options }] = await resolve("a", { toml });
  const beside = "/etc/holdfast/";
  assertEquals(options.identityFiles, [`${beside}k`, "/k", "~/k", "${HOME}/k", "%d/k"]);
  const { inventory } = await parseHostsFile(toml, { path: PATH });
  assertEquals(inventory, [`${beside}i`, "/i", "~/i"]);
});

const via = (name: string, to: string) => `[hosts.${name}]\nvia = "${to}"\n`;
const alias = (name: string, to: string) => `[hosts.${name}]\nstack = "${to}"\n`;
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

const REFUSED: [what: string, target: string, toml: string, message: string][] = [
  [
    "a circle of via",
    "x,a",
    via("a", "b") + via("b", "c") + via("c", "a"),
    'Cannot resolve "x,a": via forms a circle: a -> b -> c -> a',
  ],
  [
    "a circle of stacks",
    "a",
    alias("a", "local,b") + via("b", "eve@a"),
    'Cannot resolve "a": via forms a circle: a -> b -> a',
  ],
  ["a name that is itself", "a", alias("a", "a"), "via forms a circle: a -> a"],
  [
    "too many hops",
    "a,sudo",
    alias("a", numbers(MAX_HOPS).map((i) => `h${i}`).join(",")),
    `it comes to more than ${MAX_HOPS} hops`,
  ],
  [
    "hops that double with every name",
    "n0",
    numbers(31).map((i) => alias(`n${i}`, `n${i + 1},n${i + 1}`)).join(""),
    `it comes to more than ${MAX_HOPS} hops`,
  ],
  [
    "names for names for names",
    "n0",
    numbers(40).map((i) => alias(`n${i}`, `n${i + 1}`)).join(""),
    `more than ${MAX_HOPS} names stand for each other`,
  ],
  [
    "a user for what is no SSH host",
    "ann@a",
    alias("a", "local,sudo"),
    '"a" is no SSH host, and only such a one has a user and a port',
  ],
];

for (const [what, target, toml, message] of REFUSED) {
  Deno.test(`stack: ${what}: refused`, async () => {
    const error = await assertRejects(() => resolve(target, { toml }), HoldfastError, message);
    assertEquals(error.kind, "resolve");
  });
}

Deno.test("stack: as many hops as a TARGET may have are resolved", async () => {
  const toml = alias("a", numbers(MAX_HOPS).map((i) => `h${i}`).join(","));
  assertEquals((await resolve("a", { toml })).length, MAX_HOPS);
});

Deno.test("stack: the inventory is asked only for what the hosts file lacks", async () => {
  const hosts = await parseHostsFile(BASE, { path: PATH });
  let asked = 0;
  const sources = {
    hosts: async () => hosts,
    inventory: async () => {
      asked++;
      return null;
    },
  };
  for (const target of ["db1", "ssh=other", "local,sudo"]) {
    await resolveStack(parseTarget(target), { sources });
  }
  assertEquals(asked, 0);
  await resolveStack(parseTarget("other"), { sources });
  assertEquals(asked, 1);
});
