import { Buffer } from "node:buffer";
import {
  addKnownHost,
  fingerprint,
  KnownHosts,
  matchesPattern,
} from "../../lib/master/known_hosts.ts";
import { assertEquals } from "../support/assert.ts";
import { createIdentity } from "../support/identity.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";

interface Key {
  line: string;
  key: Uint8Array;
  path: string;
}

async function makeKey(type: "ed25519" | "ecdsa" | "rsa" = "ed25519"): Promise<Key> {
  const { publicKey, path } = await createIdentity({ type });
  const line = publicKey.split(" ").slice(0, 2).join(" ");
  return { line, key: Buffer.from(line.split(" ")[1], "base64"), path };
}

async function verdicts(text: string, questions: [string, number, Uint8Array][]) {
  await using dir = await tempDir();
  await Deno.writeTextFile(dir.join("known"), text);
  const known = await KnownHosts.load([dir.join("missing"), dir.join("known")]);
  return questions.map(([host, port, key]) => known.check({ host, port, key }).verdict);
}

const keygen = test.needs("ssh-keygen");

keygen("known hosts: plain, several names, wildcards and negation", async () => {
  const a = await makeKey();
  const b = await makeKey();
  const text = `web1,10.0.0.1 ${a.line} a comment\n*.example.com,!bad.example.com ${a.line}\n`;
  const found = await verdicts(text, [
    ["web1", 22, a.key],
    ["WEB1", 22, a.key],
    ["10.0.0.1", 22, a.key],
    ["web1", 22, b.key],
    ["db.example.com", 22, a.key],
    ["bad.example.com", 22, a.key],
    ["web2", 22, a.key],
  ]);
  assertEquals(found, ["known", "known", "known", "changed", "known", "unknown", "unknown"]);
});

keygen("known hosts: a port is part of the name, a plain name's matching key will do", async () => {
  const a = await makeKey();
  const b = await makeKey();
  const found = await verdicts(`[web1]:2222 ${a.line}\nweb2 ${a.line}\n`, [
    ["web1", 2222, a.key],
    ["web1", 22, a.key],
    ["web2", 2222, a.key],
    ["web2", 2222, b.key],
  ]);
  assertEquals(found, ["known", "unknown", "known", "unknown"]);
});

keygen("known hosts: names hashed by ssh-keygen are found", async () => {
  await using dir = await tempDir();
  const a = await makeKey();
  const file = dir.join("known");
  await Deno.writeTextFile(file, `web1 ${a.line}\n[web2]:2222 ${a.line}\n`);
  const hashing = new Deno.Command("ssh-keygen", {
    args: ["-H", "-f", file],
    stdout: "null",
    stderr: "null",
  });
  assertEquals((await hashing.output()).success, true);
  assertEquals((await Deno.readTextFile(file)).includes("web"), false);
  const known = await KnownHosts.load([file]);
  assertEquals(known.check({ host: "web1", port: 22, key: a.key }).verdict, "known");
  assertEquals(known.check({ host: "web2", port: 2222, key: a.key }).verdict, "known");
  assertEquals(known.check({ host: "web3", port: 22, key: a.key }).verdict, "unknown");
});

keygen("known hosts: a revoked key is revoked even where it is known", async () => {
  const a = await makeKey();
  const b = await makeKey("ecdsa");
  const text = `web1 ${a.line}\n@revoked * ${a.line}\n@cert-authority * ${b.line}\n`;
  const found = await verdicts(text, [["web1", 22, a.key], ["web1", 22, b.key]]);
  assertEquals(found, ["revoked", "unknown"]);
});

keygen("known hosts: a changed key tells file and line", async () => {
  await using dir = await tempDir();
  const a = await makeKey();
  const b = await makeKey();
  const file = dir.join("known");
  await Deno.writeTextFile(file, `# comment\r\n\r\nweb1 ${a.line}\r\n`);
  const known = await KnownHosts.load([file]);
  const verdict = known.check({ host: "web1", port: 22, key: b.key });
  assertEquals(verdict, { verdict: "changed", file, line: 3, type: "ssh-ed25519" });
  assertEquals(known.check({ host: "web1", port: 22, key: a.key }), { verdict: "known" });
});

keygen("known hosts: broken lines are skipped", async () => {
  const a = await makeKey();
  const text =
    `web1\nweb1 ssh-ed25519\nweb1 ssh-ed25519 AAAA\n@odd web1 ${a.line}\n|1|x ${a.line}\n` +
    `\u0000\u0001\nweb1 ssh-rsa ${a.line.split(" ")[1]}\nweb2 ${a.line}`;
  const found = await verdicts(text, [["web1", 22, a.key], ["web2", 22, a.key]]);
  assertEquals(found, ["unknown", "known"]);
});

keygen("known hosts: the types of known keys become signature algorithms", async () => {
  await using dir = await tempDir();
  const a = await makeKey("rsa");
  const b = await makeKey("ecdsa");
  await Deno.writeTextFile(dir.join("known"), `web1 ${a.line}\nweb1 ${b.line}\n`);
  const known = await KnownHosts.load([dir.join("known")]);
  assertEquals(known.keyTypes("web1", 22), [
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
  ]);
  assertEquals(known.keyTypes("web2", 22), []);
});

keygen("known hosts: adding makes a private file and repairs a missing newline", async () => {
  await using dir = await tempDir();
  const a = await makeKey();
  const b = await makeKey("ecdsa");
  const file = dir.join("new/ssh/known_hosts");
  await addKnownHost(file, { host: "Web1", port: 2222, key: a.key, hash: false });
  assertEquals(await Deno.readTextFile(file), `[web1]:2222 ${a.line}\n`);
  assertEquals((await Deno.stat(file)).mode! & 0o777, 0o600);
  assertEquals((await Deno.stat(dir.join("new/ssh"))).mode! & 0o777, 0o700);
  await Deno.writeTextFile(file, `web2 ${a.line}`);
  await addKnownHost(file, { host: "web3", port: 22, key: b.key, hash: true });
  const lines = (await Deno.readTextFile(file)).split("\n");
  assertEquals([lines.length, lines[0], lines[2]], [3, `web2 ${a.line}`, ""]);
  assertEquals(lines[1].startsWith("|1|"), true);
  const known = await KnownHosts.load([file]);
  assertEquals(known.check({ host: "web3", port: 22, key: b.key }).verdict, "known");
});

keygen("known hosts: fingerprints are ssh-keygen's", async () => {
  const a = await makeKey();
  const { stdout } = await new Deno.Command("ssh-keygen", { args: ["-lf", a.path] }).output();
  assertEquals(fingerprint(a.key), new TextDecoder().decode(stdout).split(" ")[1]);
});

test("known hosts: a hostile pattern costs no exponential time", () => {
  assertEquals(matchesPattern("*a".repeat(200), "a".repeat(5000) + "b"), false);
  assertEquals(matchesPattern("w?b*", "web1"), true);
  assertEquals(matchesPattern("", ""), true);
});
