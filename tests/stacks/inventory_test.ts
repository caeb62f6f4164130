/** Ansible's inventories: what a host's variables mean here, and the real `ansible-inventory`. */
import { HoldfastError } from "../../lib/core/errors.ts";
import { Inventory } from "../../lib/stacks/inventory.ts";
import { runAnsibleInventory } from "../../lib/stacks/inventory_command.ts";
import { InventoryFiles } from "../../lib/stacks/inventory_files.ts";
import { type ResolvedHop, resolveStack } from "../../lib/stacks/stack_resolver.ts";
import { formatTarget, parseTarget } from "../../lib/rendezvous/target.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "../support/assert.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";

const ansible = test.needs("ansible-inventory");
const OPTIONS = { source: "inventory i", directory: "/etc/ansible" };
const never = new AbortController().signal;

type Hosts = Record<string, Record<string, unknown>>;

function saved(hostvars: Hosts): Inventory {
  return new Inventory(JSON.stringify({ _meta: { hostvars } }), OPTIONS);
}

function resolve(
  target: string,
  inventory: Pick<Inventory, "entry" | "names">,
): Promise<ResolvedHop[]> {
  const sources = { hosts: async () => null, inventory: async () => inventory };
  return resolveStack(parseTarget(target), { sources });
}

async function stack(target: string, inventory: Pick<Inventory, "entry" | "names">) {
  return formatTarget((await resolve(target, inventory)).map(({ hop }) => hop));
}

/** Variables of host `a`, and the stack that it then is. */
const MEANINGS: [variables: Record<string, unknown>, expected: string][] = [
  [{}, "a"],
  [{ ansible_host: "10.0.0.1", ansible_user: "ann", ansible_port: 2222 }, "ann@10.0.0.1:2222"],
  [{ ansible_ssh_host: "b", ansible_ssh_user: "ann", ansible_ssh_port: "22" }, "ann@b:22"],
  [{ ansible_host: "fe80::1", ansible_port: 1 }, "[fe80::1]:1"],
  [{ ansible_host: "", ansible_user: null }, "a"],
  [{ ansible_connection: "smart" }, "a"],
  [{ ansible_connection: "ansible.builtin.ssh" }, "a"],
  [{ ansible_connection: "mitogen_ssh", ansible_host: "b" }, "b"],
  [{ ansible_connection: "local", ansible_user: "ann" }, "local"],
  [{ ansible_connection: "community.docker.docker" }, "docker=a"],
  [{ ansible_connection: "docker", ansible_host: "web", ansible_ssh_host: "x" }, "docker=web"],
  [{ ansible_connection: "containers.podman.podman" }, "podman=a"],
  [{ ansible_connection: "kubectl", ansible_kubectl_namespace: "prod" }, "kubectl=prod/a"],
  [{ ansible_connection: "kubernetes.core.kubectl", ansible_kubectl_pod: "p" }, "kubectl=p"],
  [{ ansible_connection: "lxd" }, "lxc=a"],
  [{ ansible_connection: "community.general.chroot", ansible_host: "/srv/x" }, "chroot=/srv/x"],
  [{ ansible_connection: "mitogen_machinectl" }, "machinectl=a"],
  [{ ansible_connection: "mitogen_sudo", ansible_user: "app" }, "sudo=app"],
  [{ ansible_become: true }, "a,sudo"],
  [{ ansible_become: "no", ansible_become_user: "app" }, "a"],
  [{ ansible_become: "yes", ansible_become_user: "app" }, "a,sudo=app"],
  [{ ansible_become: 1, ansible_become_method: "ansible.builtin.su" }, "a,su"],
  [
    { ansible_become: "True", ansible_become_method: "community.general.doas" },
    "a,doas",
  ],
  [{ ansible_host: "{{ inventory_hostname }}.example.com" }, "a.example.com"],
  [{ ansible_host: "{{ip}}", ip: "{{ prefix }}.7", prefix: "10.0.0" }, "10.0.0.7"],
  [{ ansible_user: { __ansible_unsafe: "ann" } }, "ann@a"],
];

for (const [variables, expected] of MEANINGS) {
  Deno.test(`inventory: ${JSON.stringify(variables)} is ${expected}`, async () => {
    assertEquals(await stack("a", saved({ a: variables })), expected);
  });
}

const SENSELESS: [variables: Record<string, unknown>, message: string][] = [
  [{ ansible_connection: "winrm" }, 'ansible_connection "winrm" is none that Holdfast has'],
  [{ ansible_connection: "constructor" }, "is none that Holdfast has"],
  [{ ansible_host: "-oProxyCommand=x" }, "ansible_host: the host name"],
  [{ ansible_user: "a;b" }, "ansible_user: the user name"],
  [{ ansible_port: 0 }, "ansible_port is not a number from 1 to 65535"],
  [{ ansible_port: "2e1" }, "ansible_port is not a number"],
  [{ ansible_connection: "docker", ansible_host: "--privileged" }, "begins with"],
  [{ ansible_connection: "docker", ansible_host: "a,sudo" }, "separator"],
  [{ ansible_become: "perhaps" }, "ansible_become is neither true nor false"],
  [{ ansible_become: true, ansible_become_method: "pbrun" }, '"pbrun" is none of sudo, su, doas'],
  [{ ansible_become: true, ansible_become_user: "-x" }, "ansible_become_user: the user name"],
  [{ ansible_host: "{{ lookup('env', 'X') }}" }, "ansible_host is a template"],
  [{ ansible_host: "{% if x %}a{% endif %}" }, "ansible_host is a template"],
  [{ ansible_host: "{{ ansible_host }}" }, "ansible_host is a template"],
  [{ ansible_user: { __ansible_vault: "x" } }, "ansible_user is encrypted, or is no text"],
  [{ ansible_ssh_common_args: "-W x" }, "ansible_ssh_common_args: has something other than"],
  [{ ansible_ssh_extra_args: "-o 'x" }, "ansible_ssh_extra_args: has a quote that is not closed"],
  [{ mitogen_via: "b;c" }, "mitogen_via: the host name"],
  [{ mitogen_via: "docker:x@b" }, '"docker" is none of sudo, su, doas'],
  [{ ansible_connection: "kubectl", ansible_kubectl_container: "c" }, "has no place in a hop"],
];

for (const [variables, message] of SENSELESS) {
  Deno.test(`inventory: ${JSON.stringify(variables)} is refused`, async () => {
    const inventory = saved({ a: variables, b: {} });
    const error = await assertRejects(() => stack("a", inventory), HoldfastError, message);
    assertEquals(error.kind, "resolve");
    assertMatch(error.message, /^Cannot use "a" of inventory i: /);
    assertEquals(await stack("b", inventory), "b", "another host's matter");
  });
}

Deno.test("inventory: keys and ssh's arguments become options, in Ansible's order", async () => {
  const [{ options }] = await resolve(
    "a",
    saved({
      a: {
        ansible_ssh_private_key_file: "keys/a",
        ansible_ssh_extra_args: "-o A=3 -J jump",
        ansible_ssh_common_args: `-o ProxyCommand="ssh -W %h:%p 'x y'" -i ~/k`,
        ansible_ssh_args: "-C -o ControlMaster=auto -o ControlPersist=60s -oA=1 -p 2222",
      },
    }),
  );
  assertEquals(options.identityFiles, ["/etc/ansible/keys/a", "~/k"]);
  assertEquals(options.options, ["A=1", "Port=2222", "ProxyCommand=ssh -W %h:%p 'x y'", "A=3"]);
  assertEquals(options.jump, "jump");
});

const VIA: Hosts = {
  gate: { ansible_user: "gate", ansible_become: true },
  mid: { mitogen_via: "joe@gate", ansible_host: "10.0.0.2", ansible_become: true },
  end: { mitogen_via: "mid", ansible_connection: "docker", ansible_user: "in" },
  root: { mitogen_via: "su:app@gate" },
  x: { mitogen_via: "y" },
  y: { mitogen_via: "eve@z" },
  z: { mitogen_via: "x" },
  lost: { mitogen_via: "gaet" },
};

Deno.test("inventory: mitogen_via in chains, becoming nobody on the way", async () => {
  const inventory = saved(VIA);
  assertEquals(await stack("gate", inventory), "gate@gate,sudo");
  assertEquals(await stack("mid", inventory), "joe@gate,10.0.0.2,sudo");
  assertEquals(await stack("ann@mid,sudo=x", inventory), "joe@gate,ann@10.0.0.2,sudo,sudo=x");
  assertEquals(await stack("end", inventory), "joe@gate,10.0.0.2,docker=end");
  assertEquals((await resolve("end", inventory))[2].options.user, "in");
  assertEquals(await stack("root", inventory), "gate@gate,su=app,root");
});

Deno.test("inventory: circles, unknown ways and users of what has none are refused by name", async () => {
  for (
    const [target, message] of [
      ["x", 'Cannot resolve "x": via forms a circle: x -> y -> z -> x'],
      [
        "lost",
        'mitogen_via of "lost" names "gaet", which the inventory does not have; did you mean "gate"?',
      ],
      ["ann@end", '"end" is reached by docker, which takes no user and no port'],
    ]
  ) {
    const error = await assertRejects(() => stack(target, saved(VIA)), HoldfastError, message);
    assertEquals(error.kind, "resolve");
  }
});

Deno.test("inventory: a password goes to authentication and nowhere else", async () => {
  const inventory = saved({
    a: {
      ansible_user: "ann",
      ansible_password: "{{ hidden }}",
      ansible_become: true,
      ansible_become_pass: "geheim-2",
      hidden: "geheim-1",
    },
    vault: { ansible_password: { __ansible_vault: "$ANSIBLE_VAULT;1.1;AES256\n33" } },
    template: { ansible_password: "{{ lookup('file', 'geheim') }}" },
  });
  const [host, become] = await resolve("a", inventory);
  assertEquals([host.password?.reveal(), become.password?.reveal()], ["geheim-1", "geheim-2"]);
  for (const text of [JSON.stringify([host, become]), Deno.inspect([host, become])]) {
    assert(!text.includes("geheim"), text);
  }
  assertEquals(`${host.password}`, "[secret]");
  for (const name of ["eve@a", "vault", "template"]) {
    assertEquals((await resolve(name, inventory))[0].password, undefined, name);
  }
  assertEquals((await resolve("ann@a", inventory))[0].password?.reveal(), "geheim-1");
});

Deno.test("inventory: what is none is refused without being quoted", () => {
  for (const text of ["", "geheim", '{"geheim": 1}', '{"_meta": {}}', "[]", "null"]) {
    const error = assertThrows(() => new Inventory(text, OPTIONS), HoldfastError);
    assertEquals(
      error.message,
      "Cannot read inventory i: it is not what ansible-inventory --list prints",
    );
    assert(!Deno.inspect(error).includes("geheim"));
  }
});

const PATH = Deno.env.get("PATH")!;

ansible("ansible-inventory: groups, variables in files, and hosts that have none", async () => {
  await using dir = await tempDir();
  await Deno.mkdir(dir.join("inv/group_vars"), { recursive: true });
  await Deno.writeTextFile(
    dir.join("inv/hosts"),
    "[web]\nweb1 ansible_host=10.0.0.1 ansible_become=true\nweb2 mitogen_via=ann@web1\n" +
      "db[1:2]\n[web:vars]\nansible_user=joe\n",
  );
  await Deno.writeTextFile(dir.join("inv/more.yml"), "all:\n  hosts:\n    bare:\n");
  await Deno.writeTextFile(dir.join("inv/group_vars/web.yml"), "ansible_port: 2222\n");
  const env = { PATH, HOME: dir.path };
  const files = new InventoryFiles();
  const load = () => files.load({ paths: [dir.join("inv")], env, signal: never });
  const table = await load();
  assertEquals(table.names().sort(), ["bare", "db1", "db2", "web1", "web2"]);
  assertEquals(await stack("web1", table), "joe@10.0.0.1:2222,sudo");
  assertEquals(await stack("web2", table), "ann@10.0.0.1:2222,joe@web2:2222");
  assertEquals(await stack("db2,bare", table), "joe@db2:2222,bare");
  assertEquals(table.entry("web1")!.source, `inventory ${dir.join("inv")}`);
});

ansible("ansible-inventory: what it cannot read is an error that tells no secret", async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(dir.join("i.yml"), "ansible_password: geheim: 1\n");
  const request = { paths: [dir.join("i.yml")], env: { PATH, HOME: dir.path }, signal: never };
  const error = await assertRejects(() => new InventoryFiles().load(request), HoldfastError);
  assertEquals(error.kind, "resolve");
  assertStringIncludes(error.message, `Cannot read inventory "${dir.join("i.yml")}"`);
  assertStringIncludes(error.message, `ansible-inventory -i ${dir.join("i.yml")} --list`);
  assert(!Deno.inspect(error).includes("geheim"));
});

ansible("ansible-inventory: given up, it ends with the script that it waits for", async () => {
  await using dir = await tempDir();
  await new Deno.Command("mkfifo", { args: [dir.join("started")] }).output();
  await Deno.writeTextFile(
    dir.join("script"),
    `#!/bin/sh\necho > ${dir.join("started")}\nexec sleep 1000\n`,
    { mode: 0o700 },
  );
  const controller = new AbortController();
  const env = { PATH, HOME: dir.path };
  const running = runAnsibleInventory({
    paths: [dir.join("script")],
    directory: dir.path,
    env,
    signal: controller.signal,
  });
  await Deno.readTextFile(dir.join("started"));
  controller.abort();
  const error = await assertRejects(() => running, HoldfastError);
  assertEquals(error.kind, "cancelled");
});

test("ansible-inventory: where there is none, the error says what to install", async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(dir.join("i"), "a\n");
  const error = await assertRejects(
    () =>
      new InventoryFiles().load({ paths: [dir.join("i")], env: { PATH: dir.path }, signal: never }),
    HoldfastError,
  );
  assertEquals(error.kind, "resolve");
  assertStringIncludes(error.message, "there is no ansible-inventory here; install ansible-core");
});
