/** ssh's command line: what ours makes of it, against what the installed ssh resolves and says. */
import { parseSshCommandLine } from "../../lib/dropin/ssh_command_line.ts";
import type { Endpoint, Forward } from "../../lib/dropin/forward_spec.ts";
import type { SshCommandLine, SshRequest } from "../../lib/dropin/ssh_request.ts";
import { sshArguments } from "../../lib/master/ssh_config.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";

/** One command line each; words are separated by `|`. KEY and CONFIG stand for files that exist. */
const LINES = `
h
a@h
a@b@h
h.example.com|true
h|echo|a  b|c
-p|2222|h
-p2222|h
-p|22|-p|x|h
-p|0022|h
-l|ann|h
-lann|h
-l|ann|bob@h
-oUser=x|a@h
-l|ann|-oUser=x|h
-oUser=x|-l|ann|h
-o|User "ann"|h
-o|User = ann|h
-o|  user  ann|h
-oPort=7|-p|8|h
-p|8|-oPort=7|h
-o|Port 7|h
-o||-o|# comment|h
h|-p|99
h|-v|-p|99|cmd|-q
h|--|-v
h|-l|ann|--|-v
--|h|-v
--|a@h|cmd|-p|3
-4|h
-6|h
-46|h
-4|-oAddressFamily=inet6|h
-oAddressFamily=inet6|-4|h
-i|KEY|h
-iKEY|-i|KEY|h
-i|KEY|-oIdentityFile=/other|h
-o|IdentityFile ~/.ssh/x|-oIdentitiesOnly=yes|h
-F|CONFIG|h
-FCONFIG|aliased
-F|CONFIG|ann@aliased
-F|CONFIG|-p|5|aliased|cmd
-J|j|h
-J|u@j:2222,k|h
-Ju@j|h
-J|none|h
-oProxyJump=j|h
-J|j|-oProxyJump=k|h
-oProxyCommand=nc %h %p|h
-J|j|-oProxyCommand=nc|h
-t|h
-tt|h
-t|-t|h
-ttt|h
-T|h
-T|-t|h
-t|-T|h
-oRequestTTY=no|-t|h
-t|-oRequestTTY=no|h
-oRequestTTY=force|h
-oRequestTTY=yes|-t|h
-oRequestTTY=auto|-oRequestTTY=yes|h
-N|h
-N|-t|h
-nN|h
-n|h|cmd
-fN|h
-f|h|cmd
-oForkAfterAuthentication=yes|h|cmd
-oStdinNull=yes|h
-oSessionType=none|h
-oSessionType=subsystem|h|sftp
-s|h|sftp
-s|--|h|sftp
h|-s|sftp
-N|-oSessionType=subsystem|h
-oRemoteCommand=echo "x  y"|h
-o|RemoteCommand=none|h
-A|h
-a|h
-A|-a|h
-oForwardAgent=yes|-a|h
-oForwardAgent=no|h
-A|-oForwardAgent=no|h
-q|h
-v|h
-vv|h
-vvvv|h
-q|-v|h
-v|-q|h
-oLogLevel=ERROR|h
-oLogLevel=ERROR|-v|h
-v|-oLogLevel=ERROR|h
-oLogLevel=VERBOSE|-v|h
-e|none|h
-e|^B|h
-e|!|h
-oEscapeChar=none|h
-oEscapeChar=^C|-e|%|h
-L|8080:h:80|h
-L|127.0.0.1:8080:h:80|h
-L|*:8080:h:80|h
-L|:8080:h:80|h
-L|[::1]:8080:[::2]:80|h
-R|8080:h:80|h
-R|0:h:80|h
-R|70|h
-R|*:7:h:8|h
-D|1080|h
-D|127.0.0.1:1080|-D|[::1]:98|h
-D|:1080|h
-W|h:80|j
-W|[::1]:80|-p|3|j
-g|-L|1:h:2|h
-oLocalForward=8080 h:80|h
-oClearAllForwardings=yes|h
-oSendEnv=GIT_PROTOCOL|h
-o|SendEnv=A B*|-oSetEnv=C=1 D="2 3"|h
-c|aes128-ctr|h
-caes128-ctr|-oCiphers=aes256-ctr|h
-oCiphers=aes256-ctr|-c|aes128-ctr|h
-m|hmac-sha2-256|h
-b|127.0.0.1|h
-oBindAddress=127.0.0.2|-b|127.0.0.1|h
-xk2|h
-E|/dev/null|h
-M|-S|/tmp/x|h
-S|none|h
-C|-o|ControlMaster=auto|-oControlPersist=60s|-o|ControlPath="/tmp/%h"|-o|KbdInteractiveAuthentication=no|-o|User="ann"|-o|ConnectTimeout=10|-tt|h|/bin/sh -c 'echo ~'
-x|-oPermitLocalCommand=no|-oClearAllForwardings=yes|-oRemoteCommand=none|-oRequestTTY=no|-oForwardAgent=no|-l|ann|-s|--|h|sftp
-o|SendEnv=GIT_PROTOCOL|git@h|git-upload-pack '/a b.git'
-l|ann|h|rsync|--server|-vlogDtpre.iLsfxCIvu|.|/x
ssh://h
ssh://a@h
ssh://a@h:99
ssh://a@h:99/
ssh://a;x=y@h
ssh://a%20b@h
-p|3|ssh://a@h:99
-l|bob|ssh://a@h
ssh://h|-v|cmd
::1
a@::1
fe80::1%eth0
HOST
a\\b@h
h_1-x
-oHostName=other|h
-o|StrictHostKeyChecking no|-oUserKnownHostsFile=/dev/null|h
-oCompression=yes|h
`.trim().split("\n").map((line) => line.split("|"));

/** Keywords in which ours differs from ssh on purpose: compression and sharing are the daemon's own affair. */
const DIFFERENT = new Set([
  "compression",
  "controlmaster",
  "controlpath",
  "controlpersist",
  "forwardx11",
  "forwardx11trusted",
]);

test.needs("ssh")("ssh command line: resolves as the real one does", async (t) => {
  await using dir = await tempDir();
  const files: Record<string, string> = { KEY: dir.join("key"), CONFIG: dir.join("config") };
  await Deno.writeTextFile(files.KEY, "");
  await Deno.writeTextFile(files.CONFIG, "Host aliased\n HostName real\n User cfg\n Port 77\n");
  assert(LINES.length >= 130);
  for (const template of LINES) {
    await t.step(template.join(" "), async () => {
      const words = template.map((word) => word.replace(/KEY|CONFIG/, (name) => files[name]));
      const config = words.some((word) => word.startsWith("-F")) ? [] : ["-F", "none"];
      const request = parseSshCommandLine([...config, ...words]);
      assert(request.kind === "request", JSON.stringify(request));
      const theirs = await resolved([...config, "-G", ...words]);
      const ours = await resolved(sshArguments(request.destination, request.ssh));
      overlay(ours, request);
      for (const keyword of new Set([...theirs.keys(), ...ours.keys()])) {
        if (DIFFERENT.has(keyword)) continue;
        assertEquals(ours.get(keyword), theirs.get(keyword), keyword);
      }
      assertEquals(request.command, commandOf(words, request));
    });
  }
});

/** The command is whatever stands at the end of the words; said once more, the simple way round. */
function commandOf(words: string[], { command }: SshRequest): string | null {
  if (command === null) return null;
  const tail = words.findLastIndex((_, at) => words.slice(at).join(" ") === command);
  return tail > 0 ? command : `not at the end of ${words}`;
}

async function resolved(args: string[]): Promise<Map<string, string[]>> {
  const { success, stdout, stderr } = await new Deno.Command("ssh", { args, stdin: "null" })
    .output();
  assert(success, `${args}: ${new TextDecoder().decode(stderr)}`);
  const found = new Map<string, string[]>();
  for (const line of new TextDecoder().decode(stdout).trim().split("\n")) {
    const [keyword, ...values] = line.split(" ");
    found.set(keyword, [...found.get(keyword) ?? [], values.join(" ")]);
  }
  return found;
}

/** What of the command line stays in this process, as `ssh -G` would print it. */
function overlay(config: Map<string, string[]>, request: SshRequest): void {
  const { terminal, session, noInput, background, agent, escape, logLevel } = request;
  const set = (keyword: string, value: string | undefined) => {
    if (value !== undefined) config.set(keyword, [value]);
  };
  const yesNo = (value: boolean | undefined) =>
    value === undefined ? undefined : value ? "yes" : "no";
  const terminals = { yes: "true", no: "false", force: "force", auto: "auto" };
  set("requesttty", terminal && terminals[terminal]);
  set("sessiontype", session);
  set("stdinnull", yesNo(noInput));
  set("forkafterauthentication", yesNo(background));
  set("forwardagent", yesNo(agent));
  set("gatewayports", yesNo(request.gatewayPorts));
  set("loglevel", logLevel && { QUIET: "SILENT", DEBUG1: "DEBUG" }[logLevel as string] || logLevel);
  if (escape !== undefined) {
    set("escapechar", escape === null ? "none" : escape < " " ? `\\^${control(escape)}` : escape);
  }
  if (request.stdio) {
    set("clearallforwardings", "yes");
    set("exitonforwardfailure", "yes");
  }
  const kinds = {
    local: "local",
    dynamic: "dynamic",
    remote: "remote",
    "remote-dynamic": "remote",
  };
  for (const forward of request.forwards) {
    const keyword = `${kinds[forward.kind]}forward`;
    config.set(keyword, [...config.get(keyword) ?? [], printed(forward)]);
  }
}

function control(character: string): string {
  return String.fromCharCode(character.charCodeAt(0) + 64);
}

function printed(forward: Forward): string {
  const listen = address(forward.listen);
  if (forward.kind === "dynamic") return listen;
  if (forward.kind === "remote-dynamic") return `${listen} [socks]:0`;
  return `${listen} ${address(forward.connect)}`;
}

function address(endpoint: Endpoint): string {
  if ("path" in endpoint) return endpoint.path;
  const { host, port } = endpoint;
  if (host === undefined) return String(port);
  return `[${host}]:${port}`;
}

test.needs("ssh")("ssh command line: what is wrong is said as ssh says it", async (t) => {
  const lines = [
    "-Z",
    "-vZ",
    "--help",
    "-:",
    "-p",
    "-o",
    "-I",
    "-Q",
    "-p|x|h",
    "-p|0|h",
    "-p|65536|h",
    "-1|h",
    "-e|xx|h",
    "-W|foo|h",
    "-L|foo|h",
    "-L|1:h|h",
    "-L|0:h:1|h",
    "-R|foo|h",
    "-D|foo|h",
    "-O|bogus|h",
    "-O|check|-W|a:1|h",
    "-W|a:1|-O|check|h",
    "-W|a:1|-W|b:1|h",
    "-s|h",
    "-N|-s|h|cmd",
    "-s|-N|h|cmd",
    "-oSessionType=none|-s|h|sftp",
    "-J|a|-J|b|h",
    "-J|none|-J|b|h",
    "-oProxyJump=q|-J|x|h",
    "-oProxyCommand=q|-J|x|h",
    "-J|,|h",
    "-o|Compression|h",
    "@h",
    "--|-foo",
    "-",
    "a;b",
    "a b",
    "$(x)",
    "-l|x;y|h",
    "-l|-x|h",
    "-l|--|h|-v",
    "a;b@h",
    "ssh://",
    "ssh://@h",
    "ssh://b:0",
    "ssh://a@b:99/x",
    "",
  ];
  for (const line of lines) {
    await t.step(line || "(nothing)", async () => {
      const words = line === "" ? [] : line.split("|");
      const { code, stderr } = await new Deno.Command("ssh", { args: ["-F", "none", ...words] })
        .output();
      const [first, second] = new TextDecoder().decode(stderr).split(/\r?\n/);
      const wrong = parseSshCommandLine(words);
      assert(wrong.kind === "wrong", JSON.stringify(wrong));
      assertEquals(code, 255);
      if (first.startsWith("usage: ")) assertEquals([wrong.message, wrong.usage], ["", true]);
      else assertEquals([wrong.message, wrong.usage], [first, second.startsWith("usage: ")]);
    });
  }
});

function request(...words: string[]): SshRequest {
  const line: SshCommandLine = parseSshCommandLine(words);
  assert(line.kind === "request", JSON.stringify(line));
  return line;
}

test("ssh command line: a whole stack may be the destination", () => {
  const cases: [words: string[], destination: string, user?: string][] = [
    [["web1,sudo=root"], "web1,sudo=root"],
    [["ann@web1,bob@db1:22,sudo"], "ann@web1,bob@db1:22,sudo"],
    [["-l", "ann", "web1,sudo"], "web1,sudo", "ann"],
    // As rsync, scp and sftp cut it.
    [["-l", "ann@web1,bob", "--", "db1"], "ann@web1,bob@db1"],
    [["docker=web"], "docker=web"],
    [["ssh://web1,sudo"], "web1,sudo"],
  ];
  for (const [words, destination, user] of cases) {
    const read = request(...words, "cmd");
    assertEquals([read.destination, read.isStack, read.ssh.user], [destination, true, user]);
  }
  assertEquals(request("ann@web1").isStack, false);
  assertEquals(parseSshCommandLine(["--", "-x,sudo"]).kind, "wrong");
});

test("ssh command line: Unix sockets may be either side of a forward", () => {
  const { forwards } = request(
    ...["-L", "/a:/b", "-L", "/a:h:1", "-L", "2:/b", "-L", "x:3:/b", "-R", "/a:[::1]:4", "h"],
  );
  assertEquals(forwards, [
    { kind: "local", listen: { path: "/a" }, connect: { path: "/b" } },
    { kind: "local", listen: { path: "/a" }, connect: { host: "h", port: 1 } },
    { kind: "local", listen: { port: 2 }, connect: { path: "/b" } },
    { kind: "local", listen: { host: "x", port: 3 }, connect: { path: "/b" } },
    { kind: "remote", listen: { path: "/a" }, connect: { host: "::1", port: 4 } },
  ]);
});

test("ssh command line: answers that ssh gives at once", () => {
  assertEquals(parseSshCommandLine(["-V", "-Z"]), { kind: "version" });
  assertEquals(parseSshCommandLine(["-vV"]), { kind: "version" });
  assertEquals(parseSshCommandLine(["-Qcipher"]), { kind: "query", query: "cipher" });
  assertEquals(parseSshCommandLine(["h", "-Q", "mac"]), { kind: "query", query: "mac" });
});

test("ssh command line: what only the system's ssh can do is known", () => {
  const beyond = (...words: string[]) => request(...words, "h").beyond;
  assertEquals(beyond("-w", "1"), "-w");
  assertEquals(beyond("-v", "-K", "-I", "x"), "-K");
  assertEquals(beyond("-oTunnel=yes"), "-o tunnel");
  assertEquals([beyond("-oTunnel=no"), beyond("-oPermitLocalCommand=no"), beyond("-Ck")], [
    undefined,
    undefined,
    undefined,
  ]);
  assertEquals([
    request("-X", "h").x11,
    request("-Xx", "h").x11,
    request("-oForwardX11=yes", "h").x11,
  ], [
    true,
    false,
    true,
  ]);
  assertMatch(request("-o", "ControlPath=x", "-oPort=3", "h").ssh.options!.join(), /^port=3$/);
});
