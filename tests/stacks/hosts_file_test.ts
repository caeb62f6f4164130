/** Every way a hosts file can be wrong, and the error that says where. What it means: `stack_resolver_test.ts`. */
import { HoldfastError } from "../../lib/core/errors.ts";
import { parseHostsFile } from "../../lib/stacks/hosts_file.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../support/assert.ts";

const PATH = "/etc/holdfast/hosts.toml";

/** What is wrong, on which line, and what the error says of it. */
const UNREADABLE: [toml: string, place: string, message: string][] = [
  ["[hosts.a\n", "line 1, column 9", ""],
  ['[hosts.a]\nhost = "x\n', "line 2, column ", ""],
  ['[hosts.a]\nhost = "x"\nhost = "y"\n', "line 3, column ", ""],
  ["[host.a]\n", "line 1", 'there is no key host; did you mean "hosts"?'],
  [
    "# prot\n[hosts.b]\nport = 1\n\n[hosts.a]\n# prot\nprot = 22\n",
    "line 7",
    'there is no key hosts.a.prot; did you mean "port"?',
  ],
  [
    '[hosts.a]\noptions = [\n  "A=b",\n]\nfrobnicate = 1\n',
    "line 5",
    "there is no key hosts.a.frobnicate; the keys are host, user, port, ",
  ],
  ['[hosts.a]\npassword = "x"\n', "line 2", "there is no key hosts.a.password; "],
  ["hosts.a.port = 1\nhosts.b.port = 0\n", "line 2", "hosts.b.port: it is not a number from 1 to"],
  ['[hosts.a]\nport = "22"\n', "line 2", "hosts.a.port: it is not a number"],
  ["[hosts.a]\nhost = 5\n", "line 2", "hosts.a.host: it is not a string"],
  ['[hosts.a]\nhost = ""\n', "line 2", "it is empty"],
  ['[hosts.a]\nhost = "-x"\n', "line 2", 'the host name "-x" begins with "-"'],
  ['[hosts.a]\nuser = "a;b"\n', "line 2", 'contains ";"'],
  ['[hosts.a]\nidentity = ["x", 1]\n', "line 2", "it is not a string"],
  ['[hosts.a]\noptions = ["-oA=b"]\n', "line 2", '"-oA=b" is not KEYWORD=VALUE'],
  ['[hosts.a]\noptions = ["A=b\\nC=d"]\n', "line 2", "it has more than one line"],
  ['[hosts.a]\nvia = "b,sodu=x"\n', "line 2", 'did you mean "sudo"?'],
  ['[hosts.a]\nbecome = { user = "a", how = "b" }\n', "line 2", 'there is no key "how" in it'],
  ['[hosts.a]\nbecome = { method = "docker" }\n', "line 2", "none of sudo, su, doas"],
  ['[hosts.a]\nbecome = "-x"\n', "line 2", "begins with"],
  ['\n[hosts.a]\nstack = "b"\nport = 1\n', "line 2", '"stack" is all of it; leave out "port"'],
  ["\n[hosts.sudo]\n", "line 2", "[hosts.sudo]: no TARGET can ask for this name"],
  ['[hosts."a,b"]\n', "line 1", '[hosts."a,b"]: no TARGET can ask for this name'],
  ['[hosts."ann@b"]\n', "line 1", "no TARGET can ask for this name"],
  ["\nhosts = 1\n", "line 2", "hosts is not a table"],
  ["\n[hosts]\na = 1\n", "line 3", "hosts.a is not a table"],
  ["[defaults]\nvia = 'x'\n", "line 2", "there is no key defaults.via"],
  ["[hosts.a]\n__proto__ = 1\n", "line 2", "there is no key hosts.a.__proto__"],
  ['[hosts."\\u001b[2J"]\nx = 1', "line 2", 'hosts."\\\\x1b[2J".x'],
];

for (const [toml, place, message] of UNREADABLE) {
  Deno.test(`hosts file: ${JSON.stringify(toml).slice(0, 60)} is refused`, async () => {
    const error = await assertRejects(
      () => parseHostsFile(toml, { path: PATH }),
      HoldfastError,
      message,
    );
    assertEquals(error.kind, "resolve");
    assertStringIncludes(error.message, `Cannot read "${PATH}", ${place}`);
    assert(!/\p{Cc}/u.test(error.message), "one line, nothing that drives a terminal");
  });
}

Deno.test("hosts file: a line is found quickly in a long file", async () => {
  const many = Array.from(
    { length: 3000 },
    (_, i) => `[hosts.h${i}]\nport = 1\noptions = [\n"A=b",\n]\n`,
  );
  const error = await assertRejects(
    () => parseHostsFile(many.join("") + "[hosts.z]\nprot = 1\n", { path: PATH }),
    HoldfastError,
  );
  assertStringIncludes(error.message, "line 15002:");
});
