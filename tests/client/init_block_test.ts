/** What an init block's fields become, and which of several sources wins. */

import { parseInitBlock, readDestination } from "../../lib/client/init_block.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { assertEquals, assertThrows } from "../support/assert.ts";
import { test } from "../support/test.ts";

test("init block: every field goes to its place", () => {
  const fields = {
    connection: "ansible.builtin.ssh",
    remote_addr: "web1",
    port: "2222",
    remote_user: "ann",
    password: "p w",
    private_key_file: "/k 1",
    timeout: 7,
    ssh_args: "-C -q -o ControlPersist=60s -oUser=x -F /cfg",
    ssh_common_args: "-J jump1 -i '/k 2'",
    ssh_extra_args: "-F /other -J jump2 -o Ciphers=a",
  };
  assertEquals(readDestination(fields), {
    target: "web1",
    ssh: {
      configFile: "/cfg",
      user: "ann",
      port: 2222,
      jump: "jump1",
      identityFiles: ["/k 1", "/k 2"],
      options: ["User=x", "Ciphers=a", "ConnectTimeout=7"],
    },
    password: "p w",
  });
});

test("init block: the command line wins", () => {
  const fields = { remote_addr: "web1", port: 1, remote_user: "ann", private_key_file: "k1" };
  const ssh = { port: 2, identityFiles: ["k2"], options: ["A=b"] };
  assertEquals(readDestination(fields, { target: "bob@web2:3", ssh }), {
    target: "bob@web2:3",
    ssh: { user: "ann", port: 2, identityFiles: ["k2", "k1"], options: ["A=b"] },
  });
  assertEquals(readDestination({}, { target: "web2" }), { target: "web2", ssh: {} });
});

test("init block: an IPv6 address, a host named like a method, and become make their targets", () => {
  const target = (fields: Record<string, unknown>) => readDestination(fields).target;
  assertEquals(target({ remote_addr: "::1" }), "[::1]");
  assertEquals(target({ remote_addr: "local" }), "ssh=local");
  assertEquals(target({ connection: "local", remote_addr: "web1" }), "local");
  assertEquals(target({ remote_addr: "h", become: "yes" }), "h,sudo");
  const become = { become: true, become_method: "su", become_user: "app" };
  assertEquals(target({ remote_addr: "h", ...become }), "h,su=app");
  assertEquals(target({ remote_addr: "h", ...become, become: false }), "h");
});

test("init block: absent, null, empty and false say nothing; the unknown are named", () => {
  const names: string[][] = [];
  const onIgnored = (ignored: string[]) => void names.push(ignored);
  const fields = { remote_addr: "h", port: null, timeout: "", x: null, y: [], z: false };
  assertEquals(readDestination(fields, { onIgnored }), { target: "h", ssh: {} });
  assertEquals(names, []);
  readDestination({ ...fields, x: 0, "y\n": "s" }, { onIgnored });
  assertEquals(names, [["x", "y\\x0a"]]);
});

test("init block: its JSON may be followed by the line that ends it", () => {
  assertEquals(parseInitBlock('{"a": 1}\n#END_INIT#\n'), { a: 1 });
  assertEquals(parseInitBlock(' {"a": "#END_INIT#"} '), { a: "#END_INIT#" });
  for (const text of ["", "[]", "null", "1", '"x"', '{"a": 1} #END_INIT# {}', "{}{}"]) {
    assertEquals(assertThrows(() => parseInitBlock(text), HoldfastError).kind, "usage");
  }
});
