import { resolveSsh, sshArguments } from "../../lib/master/ssh_config.ts";
import { SUPPORTED } from "../../lib/rendezvous/supported_algorithms.ts";
import { needsOpenSsh } from "../../lib/master/ssh_algorithms.ts";
import { SshResolver } from "../../lib/master/ssh_resolver.ts";
import type { SshOptions } from "../../lib/master/ssh_settings.ts";
import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { failure } from "./ssh_fixture.ts";

const env = { PATH: "/usr/bin:/bin", HF_DIR: "/srv/keys" };
const ssh = test.needs("ssh");

async function writeConfig(dir: TempDir, text: string): Promise<SshOptions> {
  await Deno.writeTextFile(dir.join("config"), text);
  return { configFile: dir.join("config") };
}

ssh("ssh config: ssh and our own reader agree", async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(dir.join("more.conf"), "Host web*\n  Port 2022\n  ConnectTimeout 7\n");
  const options = await writeConfig(
    dir,
    `Include ${dir.path}/*.conf\n` +
      "Host web1\n  HostName web1.example.com\n  User ann\n  IdentityFile ${HF_DIR}/%h-%r\n" +
      "  UserKnownHostsFile /srv/a /srv/b\n  StrictHostKeyChecking accept-new\n  HashKnownHosts yes\n" +
      "  PreferredAuthentications publickey,password\n  ProxyJump bob@jump:2200\n" +
      "Host *\n  Port 99\n  NumberOfPasswordPrompts 1\n  BatchMode yes\n  SetEnv A=1\n  SendEnv LC_*\n",
  );
  const more = { ...options, user: "eve", options: ["Ciphers=aes128-ctr"] };
  const fields = async (reader: "ssh" | "files", wanted: SshOptions) => {
    const settings = await resolveSsh("web1", wanted, { env, cwd: dir.path, reader });
    const { raw: _raw, request: _request, kexAlgorithms: _kex, ...rest } = settings;
    const { macs: _m, hostKeyAlgorithms: _h, pubkeyAcceptedAlgorithms: _p, ciphers, ...same } =
      rest;
    return { ...same, ciphers: ciphers.includes("aes128-ctr") };
  };
  for (const wanted of [options, more]) {
    assertEquals(await fields("files", wanted), await fields("ssh", wanted));
  }
  const settings = await resolveSsh("web1", options, { env, cwd: dir.path });
  assertEquals(settings.identityFiles, ["/srv/keys/web1.example.com-ann"]);
  assertEquals([settings.port, settings.connectTimeout], [2022, 7000]);
  assertEquals(settings.proxyJump, "bob@jump:2200");
});

ssh("ssh config: bad words are usage errors under both readers", async () => {
  await using dir = await tempDir();
  const bad: [string, SshOptions][] = [
    ["-oProxyCommand=x", {}],
    ["a;b", {}],
    ["a b", {}],
    ["", {}],
    ["web1", { user: "-l" }],
    ["web1", { user: "a`b" }],
    ["web1", { port: 0 }],
    ["web1", { options: ["Prot=22"] }],
    ["web1", { options: ["nonsense"] }],
    ["web1", { options: ["A=b\nProxyCommand=x"] }],
  ];
  for (const reader of ["ssh", "files"] as const) {
    for (const [host, options] of bad) {
      const error = await failure(
        resolveSsh(host, { configFile: "none", ...options }, { env, cwd: dir.path, reader }),
      );
      assertEquals(error.kind, "usage", `${reader} ${host} ${JSON.stringify(options)}`);
    }
    const gone = { configFile: dir.join("gone") };
    const error = await failure(resolveSsh("web1", gone, { env, cwd: dir.path, reader }));
    assertEquals(error.kind, "resolve");
  }
});

test("ssh config: the words for ssh are exact", () => {
  const options = { configFile: "f", identityFiles: ["i"], port: 1, user: "u", jump: "j" };
  assertEquals(
    sshArguments("h", { ...options, options: ["A=b"] }).join(" "),
    "-G -F f -i i -p 1 -l u -J j -o A=b -- h",
  );
});

ssh("ssh config: what ssh2 cannot do is named", async () => {
  await using dir = await tempDir();
  const reason = async (...options: string[]) =>
    needsOpenSsh(
      await resolveSsh("h", { configFile: "none", options }, { env, cwd: dir.path }),
    );
  assertEquals(await reason(), null);
  assertStringIncludes(await reason("CertificateFile=/x") ?? "", "certificates");
  assertStringIncludes(await reason("IdentityFile=/x/id_ed25519_sk") ?? "", "FIDO");
  assertStringIncludes(await reason("MACs=umac-64@openssh.com") ?? "", "MACs");
  assertStringIncludes(await reason("PreferredAuthentications=gssapi-with-mic") ?? "", "gssapi");
  assert(SUPPORTED.cipher[0].startsWith("chacha20"));
});

test("ssh resolver: asks again only when a file or its environment changes", async () => {
  await using dir = await tempDir();
  const options = await writeConfig(
    dir,
    `Include ${dir.path}/d/*\nUser ann\nIdentityFile \${HF_DIR}/k\n`,
  );
  await Deno.mkdir(dir.join("d"));
  let asked = 0;
  const resolver = new SshResolver({
    now: () => 0,
    resolve: (...words) => {
      asked++;
      return resolveSsh(...words);
    },
  });
  const context = { env, cwd: dir.path, reader: "files" as const };
  const resolve = (more: Record<string, string> = {}) =>
    resolver.resolve("web1", options, { ...context, env: { ...env, ...more } });
  assertEquals((await resolve()).user, "ann");
  assertEquals((await resolve({ OTHER: "1" })).request.env.OTHER, "1");
  assertEquals(asked, 1);
  await Deno.writeTextFile(dir.join("d/new"), "User bob\n");
  assertEquals((await resolve()).user, "bob");
  await Deno.writeTextFile(dir.join("d/new"), "User charlie\n");
  assertEquals((await resolve()).user, "charlie");
  assertEquals(asked, 3);
  assertEquals((await resolve({ HF_DIR: "/else" })).identityFiles, ["/else/k"]);
  assertEquals(asked, 4);
});

test("ssh resolver: an answer that hangs on Match exec lives thirty seconds", async () => {
  await using dir = await tempDir();
  const options = await writeConfig(dir, 'Match host x exec "true"\n  User bob\n');
  let asked = 0;
  let now = 0;
  const resolver = new SshResolver({
    now: () => now,
    resolve: (...words) => {
      asked++;
      return resolveSsh(...words);
    },
  });
  const context = { env, cwd: dir.path, reader: "files" as const };
  for (const time of [0, 29_999, 30_000, 30_001]) {
    now = time;
    await resolver.resolve("web1", options, context);
  }
  assertEquals(asked, 2);
});
