/** TARGET's grammar: what it means, what it refuses and in which words, and that it survives a round trip. */

import { HoldfastError } from "../../lib/core/errors.ts";
import {
  checkHost,
  checkUser,
  formatTarget,
  type Hop,
  MAX_HOPS,
  parseTarget,
} from "../../lib/rendezvous/target.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "../support/assert.ts";

/** Text, its hops, and its canonical text where that differs. */
const READABLE: [text: string, hops: Hop[], canonical?: string][] = [
  ["web1", [{ method: "ssh", host: "web1" }]],
  ["ann@db1:2222", [{ method: "ssh", user: "ann", host: "db1", port: 2222 }]],
  ["db1:0022", [{ method: "ssh", host: "db1", port: 22 }], "db1:22"],
  ["my_host.example.com.", [{ method: "ssh", host: "my_host.example.com." }]],
  ["bücher.example", [{ method: "ssh", host: "bücher.example" }]],
  ["DOMAIN\\ann@web1", [{ method: "ssh", user: "DOMAIN\\ann", host: "web1" }]],
  ["ann@corp.example@web1", [{ method: "ssh", user: "ann@corp.example", host: "web1" }]],
  ["box$@web1", [{ method: "ssh", user: "box$", host: "web1" }]],
  ["[::1]:2222", [{ method: "ssh", host: "::1", port: 2222 }]],
  ["ann@[::1]", [{ method: "ssh", user: "ann", host: "::1" }]],
  ["::1", [{ method: "ssh", host: "::1" }], "[::1]"],
  [
    "ann@fe80::1%eth0",
    [{ method: "ssh", user: "ann", host: "fe80::1%eth0" }],
    "ann@[fe80::1%eth0]",
  ],
  ["::ffff:10.0.0.1", [{ method: "ssh", host: "::ffff:10.0.0.1" }], "[::ffff:10.0.0.1]"],
  ["[web1]:22", [{ method: "ssh", host: "web1", port: 22 }], "web1:22"],
  ["local", [{ method: "local" }]],
  ["sudo", [{ method: "sudo" }]],
  ["sudo=postgres", [{ method: "sudo", argument: "postgres" }]],
  ["Sudo", [{ method: "ssh", host: "Sudo" }]],
  ["ssh=sudo", [{ method: "ssh", host: "sudo", exact: true }]],
  ["ssh=web1", [{ method: "ssh", host: "web1", exact: true }]],
  ["ssh=ann@sudo:22", [{ method: "ssh", user: "ann", host: "sudo", port: 22, exact: true }]],
  ["sudo:22", [{ method: "ssh", host: "sudo", port: 22 }]],
  ["ssh=a=b@web1", [{ method: "ssh", user: "a=b", host: "web1", exact: true }]],
  ["constructor", [{ method: "ssh", host: "constructor" }]],
  ["kubectl=prod/web-0", [{ method: "kubectl", argument: "prod/web-0" }]],
  ["chroot=/srv/my root", [{ method: "chroot", argument: "/srv/my root" }]],
  ["openssh=ann@old:22", [{
    method: "ssh",
    user: "ann",
    host: "old",
    port: 22,
    exact: true,
    openssh: true,
  }]],
  ["docker=a=b", [{ method: "docker", argument: "a=b" }]],
  ["bastion,db1,sudo=postgres", [
    { method: "ssh", host: "bastion" },
    { method: "ssh", host: "db1" },
    { method: "sudo", argument: "postgres" },
  ]],
];

for (const [text, hops, canonical = text] of READABLE) {
  Deno.test(`target: ${JSON.stringify(text)} is read and written back`, () => {
    assertEquals(parseTarget(text), hops);
    assertEquals(formatTarget(hops), canonical);
    assertEquals(parseTarget(canonical), hops);
  });
}

const UNREADABLE: [text: string, why: string][] = [
  ["", "it is empty"],
  ["web1,", "a hop is empty"],
  [",web1", "a hop is empty"],
  ["a,,b", "a hop is empty"],
  ["@web1", "the user name is empty"],
  ["ann@", "the host name is empty"],
  [":22", "the host name is empty"],
  ["[]:22", "the host name is empty"],
  ["web1:", 'the port "" is not a number from 1 to 65535'],
  ["web1:0", 'the port "0" is not'],
  ["web1:65536", 'the port "65536" is not'],
  ["web1:2e1", 'the port "2e1" is not'],
  ["web1:-1", 'the port "-1" is not'],
  ["-oProxyCommand=id", 'there is no connection method "-oProxyCommand"'],
  ["-web1", 'the host name "-web1" begins with "-"'],
  ["ann@-web1", 'the host name "-web1" begins with "-"'],
  ["ssh=-oProxyCommand", "begins with"],
  ["-ann@web1", 'the user name "-ann" begins with "-"'],
  ["[-web1]:22", "begins with"],
  ["openssh=-oProxyCommand", "begins with"],
  ["openssh=ann@-x", "begins with"],
  ["sudo=-i", 'the user name "-i" begins with "-"'],
  ["docker=--privileged", 'the value "--privileged" begins with "-"'],
  ["chroot=-x", "begins with"],
  ["web1, web2", 'the host name " web2" contains white space'],
  ["a b@web1", 'the user name "a b" contains white space'],
  ["web\n1", "the host name contains a control character"],
  ["an\0n@web1", "the user name contains a control character"],
  ["web\u202e1", "the host name contains a control character"],
  ["docker=a\x1b[2J", "the value contains a control character"],
  ["$(id)", 'contains "$"'],
  ["web1;id", 'contains ";"'],
  ["`id`@web1", 'contains "`"'],
  ["DOMAIN\\@web1", "ends with a backslash"],
  ["web1/etc", 'contains "/"'],
  ["ssh://ann@web1:22", "it is a URL; write [USER@]HOST[:PORT]"],
  ["[::1", 'a "[" is not closed'],
  ["[::1]22", 'only :PORT may follow "]", not "22"'],
  ["web1:22:33:zz", "is neither HOST:PORT nor an IPv6 address"],
  ["[a:22]", "is neither HOST:PORT nor an IPv6 address"],
  ["web1,sodu=postgres", 'there is no connection method "sodu"; did you mean "sudo"?'],
  ["DOCKER=web", 'did you mean "docker"?'],
  ["frobnicate=x", "the methods are ssh, local, sudo"],
  ["constructor=x", 'there is no connection method "constructor"'],
  ["local=x", 'the method "local" takes no argument; write local'],
  ["sudo=", 'the method "sudo" needs a value; write sudo=USER or sudo'],
  ["docker", "write docker=CONTAINER, or ssh=docker for a host of that name"],
  ["ssh", "write ssh=HOST, or ssh=ssh for a host of that name"],
  ["a".repeat(1025), "it is 1025 bytes long, and 1024 is the most"],
  ["ü".repeat(513), "it is 1026 bytes long, and 1024 is the most"],
  [Array(MAX_HOPS + 1).fill("a").join(","), "it has 33 hops, and 32 is the most"],
];

for (const [text, why] of UNREADABLE) {
  Deno.test(`target: ${JSON.stringify(text.slice(0, 40))} is refused, and the error says why`, () => {
    const error = assertThrows(() => parseTarget(text), HoldfastError, why);
    assertEquals(error.kind, "usage");
    assert(error.message.startsWith('Cannot read target "'), error.message);
    assert(!/\p{Cc}/u.test(error.message), "one line, no control characters");
    assert(error.message.length < 400, "short whatever the value");
  });
}

Deno.test("target: the most it may be is accepted", () => {
  assertEquals(parseTarget(Array(MAX_HOPS).fill("a").join(",")).length, MAX_HOPS);
  assertEquals(parseTarget("a".repeat(1024)).length, 1);
});

Deno.test("formatTarget: a stack made from data cannot pass for another", () => {
  const forged: Hop[][] = [
    [{ method: "ssh", host: "web1,sudo" }],
    [{ method: "ssh", host: "ann@web1" }],
    [{ method: "ssh", host: "web1:22" }],
    [{ method: "ssh", host: "docker=x" }],
    [{ method: "ssh", user: "", host: "web1" }],
    [{ method: "ssh", user: "a,b", host: "web1" }],
    [{ method: "ssh", host: "web1", port: 0 }],
    [{ method: "ssh", host: "web1", port: 1.5 }],
    [{ method: "sudo", argument: "" }],
    [{ method: "docker", argument: "a,sudo" }],
    [{ method: "docker" }],
    [],
  ];
  for (const hops of forged) {
    const error = assertThrows(() => formatTarget(hops), HoldfastError);
    assertEquals(error.kind, "usage", JSON.stringify(hops));
  }
});

Deno.test("target: every stack of random parts survives the round trip", () => {
  const random = seeded(20_26);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)];
  const host = () =>
    pick(["web1", "sudo", "ssh", "local", "::1", "fe80::2%en0", "10.0.0.1", "a_b.c"]);
  const user = () => pick(["ann", "D\\u", "a@b", "a=b", "sudo", "ssh=x", "x:y"]);
  const hop = (): Hop => {
    const method = pick(["ssh", "ssh", "ssh", "local", "sudo", "su", "docker"] as const);
    if (method === "local") return { method };
    if (method === "docker") return { method, argument: host() };
    if (method !== "ssh") return random() < 0.5 ? { method } : { method, argument: user() };
    const made: Hop = { method, host: host() };
    if (random() < 0.5) made.user = user();
    if (random() < 0.5) made.port = 1 + Math.floor(random() * 65535);
    // What can only be written with `ssh=` is read as such.
    const needsMethod = made.user?.includes("=") ||
      (!made.user && !made.port && ["sudo", "ssh", "local"].includes(made.host));
    if (needsMethod || random() < 0.3) made.exact = true;
    if (made.exact && random() < 0.3) made.openssh = true;
    return made;
  };
  for (let round = 0; round < 2000; round++) {
    const hops = Array.from({ length: 1 + Math.floor(random() * 5) }, hop);
    const text = formatTarget(hops);
    assertEquals(parseTarget(text), hops, text);
    assertEquals(formatTarget(parseTarget(text)), text);
  }
});

Deno.test("checkHost, checkUser: the same rules for names from elsewhere", () => {
  checkHost("web1");
  checkHost("fe80::1%eth0");
  checkUser("DOMAIN\\ann");
  const host = assertThrows(() => checkHost("-oProxyCommand=x"), RangeError);
  assertStringIncludes(host.message, 'begins with "-"');
  assertThrows(() => checkHost("a,b;c"), RangeError);
  assertThrows(() => checkUser("-l"), RangeError);
  assertThrows(() => checkUser(""), RangeError);
});

/** A small deterministic generator (mulberry32), from 0 up to 1. */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
