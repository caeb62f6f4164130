/** `holdfast client` as its users see it: init block, actions, statuses, errors, reconnection. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { testIdentity } from "../support/identity.ts";
import { type RunOptions, Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

/** Runs the relay with these lines on its standard input. */
function relay(workspace: Workspace, args: string[], stdin: RunOptions["stdin"]) {
  return workspace.run("client", args, { stdin, cwd: workspace.home });
}

function jsonLines(text: string): Record<string, unknown>[] {
  return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** Reads from a live process until `text` has come. */
async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, text: string) {
  const decoder = new TextDecoder();
  let all = "";
  while (!all.includes(text)) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`Cannot find ${JSON.stringify(text)}: only ${JSON.stringify(all)}`);
    all += decoder.decode(value, { stream: true });
  }
}

const END = "#END_INIT#";

test("relay: actions run in order, their output passes through, the status is the last one's", async () => {
  await using workspace = await Workspace.create();
  const lines =
    "\nEXEC: printf 'a\\377\\0'\r\n  \r\nEXEC: echo err >&2; printf '\u00fc'\nEXEC: cat; exit 7";
  const outcome = await relay(workspace, ["local"], lines);
  assertEquals(outcome.stdoutBytes, Uint8Array.of(0x61, 0xff, 0, 0xc3, 0xbc));
  assertEquals(outcome.stderr, "err\n");
  assertEquals(outcome.code, 7);
});

test("relay: it stops at the first action that fails; --keep-going does not", async () => {
  await using workspace = await Workspace.create();
  const lines = "EXEC: echo 1\nEXEC: exit 3\nEXEC: echo 2\nEXEC: kill -TERM $$\n";
  const stopped = await relay(workspace, ["local"], lines);
  assertEquals([stopped.code, stopped.stdout, stopped.stderr], [3, "1\n", ""]);
  const kept = await relay(workspace, ["--keep-going", "local"], lines);
  assertEquals([kept.code, kept.stdout, kept.stderr], [143, "1\n2\n", ""]);
  const none = await relay(workspace, ["local"], "\n\n");
  assertEquals([none.code, none.stdout, none.stderr], [0, "", ""]);
});

test("relay: output comes before the next action is asked for", async () => {
  await using workspace = await Workspace.create();
  await using process = await workspace.spawn("client", ["local"]);
  const writer = process.stdin.getWriter();
  const stdout = process.stdout.getReader();
  for (const word of ["one", "two", "three"]) {
    await writer.write(new TextEncoder().encode(`EXEC: printf ${word}; read x; echo .\n`));
    await readUntil(stdout, `${word}.\n`);
  }
  await writer.close();
  assertEquals((await process.status).code, 0);
  await Promise.all([stdout.cancel(), process.stderr.cancel()]);
});

test("relay: --json answers every action with one line", async () => {
  await using workspace = await Workspace.create();
  const lines = [
    "EXEC: echo out; echo err >&2; exit 3",
    "what is this",
    "EXEC: printf '\\200'; kill -KILL $$",
    "FETCH: /no/such x",
    "PUT: 'a b' .",
  ].join("\n");
  await Deno.writeTextFile(`${workspace.home}/a b`, "content");
  const args = ["--json", "--keep-going", "local"];
  const { code, stdout, stderr } = await relay(workspace, args, lines);
  assertEquals([code, stderr], [0, ""]);
  const [exit, unknown, killed, missing, put, ...rest] = jsonLines(stdout);
  assertEquals(rest, []);
  assertEquals(exit, { rc: 3, stdout: "out\n", stderr: "err\n", signal: null, error: null });
  assertEquals([unknown.rc, (unknown.error as { kind: string }).kind], [2, "usage"]);
  assertEquals([killed.rc, killed.signal, killed.stdout_base64], [137, "SIGKILL", "gA=="]);
  assertEquals([missing.rc, (missing.error as { kind: string }).kind], [255, "not_found"]);
  assertEquals(put, { rc: 0, stdout: "", stderr: "", signal: null, error: null });
});

test("relay: a line that is no action is told, and nothing after it is carried out", async () => {
  await using workspace = await Workspace.create();
  const bad: [string | Uint8Array, string][] = [
    ["EXEC: echo 1\nfoo\nEXEC: echo 2\n", "line 2: it is none of EXEC: COMMAND"],
    ["EXEC: echo 1\nPUT: a\nEXEC: echo 2\n", "line 2: PUT takes 2 paths, not 1"],
    [`EXEC: echo 1\nEXEC: ${"x".repeat(1_100_000)}\n`, "line 2: it is longer"],
  ];
  const latin1 = new TextEncoder().encode("EXEC: echo 1\nEXEC: _\n");
  latin1[latin1.length - 2] = 0xff;
  bad.push([latin1, "line 2: it is not UTF-8"]);
  for (const [lines, expected] of bad) {
    const { code, stdout, stderr } = await relay(workspace, ["local"], lines);
    assertEquals([code, stdout], [2, "1\n"]);
    assertMatch(stderr, /^holdfast: [^\n]*\n$/);
    assertStringIncludes(stderr, expected);
  }
  const long = `EXEC: ${"x".repeat(1_100_000)}\nEXEC: echo 2`;
  const kept = await relay(workspace, ["-k", "local"], long);
  assertEquals([kept.code, kept.stdout], [0, "2\n"]);
});

test("relay: an init block says where to go; what it does not know is named once", async () => {
  await using workspace = await Workspace.create();
  const block = JSON.stringify(
    { connection: "local", password: null, shell: "sh", "x\u001b": 1, forks: [] },
    null,
    2,
  );
  const first = await relay(workspace, [], `\r\n${block}\r\n${END}\r\nEXEC: echo $0\n`);
  assertEquals([first.code, first.stderr], [
    0,
    "holdfast: ignored in the init block: shell, x\\x1b\n",
  ]);
  const other = JSON.stringify({ connection: "ssh", remote_addr: "nowhere" });
  const won = await relay(workspace, ["local"], `${other}\n ${END} \nEXEC: echo here`);
  assertEquals([won.code, won.stdout, won.stderr], [0, "here\n", ""]);
});

test("relay: a bad init block is one clear error that tells no secret", async () => {
  await using workspace = await Workspace.create();
  const cases: [string, string][] = [
    ["", "standard input: it is empty"],
    ["EXEC: id\n", "it does not begin with {"],
    [`{"password": "s3cret", x}\n${END}\nEXEC: id\n`, "it is not JSON from line 1 column 24 on"],
    [`{"password": s3cret}\n${END}\n`, "it is not JSON"],
    [`{"password": "s3cret"}\nEXEC: id\n`, "it is not ended by a line #END_INIT#"],
    [`{"password": "s3cret", "port": "s3cret", "remote_addr": "h"}\n${END}\n`, '"port" is not'],
    [`{"password": ["s3cret"], "remote_addr": "h"}\n${END}\n`, '"password" is not a string'],
    [`{"password": "s3cret"}\n${END}\n`, '"remote_addr" is missing'],
    [`{"connection": "winrm", "remote_addr": "h"}\n${END}\n`, '"connection" is none of ssh'],
    [`{"remote_addr": "-oProxyCommand=x"}\n${END}\n`, 'begins with "-"'],
    [`{"remote_addr": "a,b"}\n${END}\n`, "separator"],
    [`{"remote_addr": "h", "remote_user": "-x"}\n${END}\n`, 'begins with "-"'],
    [`{"remote_addr": "h", "ssh_args": "-o 's3cret"}\n${END}\n`, '"ssh_args" has a quote'],
    [`{"remote_addr": "h", "ssh_args": "-W s3cret"}\n${END}\n`, '"ssh_args" has something other'],
    [`{"password": "${"s3cret".repeat(200_000)}"}\n${END}\n`, "larger than 1048576 bytes"],
    [`{\n${"\n".repeat(1_100_000)}`, "larger than 1048576 bytes"],
  ];
  for (const [stdin, expected] of cases) {
    const { code, stdout, stderr } = await relay(workspace, [], stdin);
    assertEquals([code, stdout], [2, ""], stderr);
    assertStringIncludes(stderr, expected);
    assert(!stderr.includes("s3cret"), stderr);
    assert(stderr.trimEnd().split("\n").length <= 2, stderr);
  }
  assertEquals(workspace.processes(), []);
});

test.needs("sshd", "namespaces")(
  "relay: logs in with the block's user, port and password, once for all actions",
  async () => {
    await using account = await createAccount({ password: "corr&ct", runtimes: ["deno"] });
    await using sshd = await startSshd({ passwordAuthentication: true, authorizedKeys: [] });
    await using workspace = await Workspace.create();
    await workspace.trust(sshd);
    await Deno.writeTextFile(`${workspace.home}/from here`, "one\n");
    const block = {
      connection: "paramiko_ssh",
      remote_addr: "127.0.0.1",
      port: sshd.port,
      remote_user: account.name,
      password: "corr&ct",
      timeout: 10,
      ssh_args: `-C -o ControlMaster=auto -o UserKnownHostsFile=${workspace.knownHosts}`,
      ssh_common_args: "-o IdentityAgent=none -o PubkeyAuthentication=no",
    };
    const actions = [
      "EXEC: id -un",
      "PUT: 'from here' there",
      "EXEC: echo two >> there",
      "FETCH: there 'back again'",
      "EXEC: rm there",
    ].join("\n");
    const init = `${JSON.stringify(block)}\n${END}\n`;
    const { code, stdout, stderr } = await relay(workspace, [], init + actions);
    assertEquals([code, stdout, stderr], [0, `${account.name}\n`, ""]);
    assertEquals(await Deno.readTextFile(`${workspace.home}/back again`), "one\ntwo\n");
    assertEquals(await sshd.logins(), 1);

    const wrong = init.replace("corr&ct", "wr0ng&");
    const refused = await relay(workspace, [], wrong + actions);
    assertEquals([refused.code, refused.stdout], [255, ""]);
    assert(!refused.stderr.includes("wr0ng&"), refused.stderr);
    const log = await Deno.readTextFile(`${workspace.dir}/log`);
    assert(!log.includes("corr&ct") && !log.includes("wr0ng&"));
  },
);

test.needs("sshd", "namespaces")(
  "relay: a lost connection fails the action that waits; the next one connects again",
  async () => {
    await using account = await createAccount({ runtimes: ["deno"] });
    await using sshd = await startSshd({ authorizedKeys: [] });
    await using workspace = await Workspace.create();
    await workspace.trust(sshd);
    await workspace.addHost("web1", { user: account.name, port: sshd.port, identity: null });
    const { path } = await testIdentity();
    const block = { remote_addr: "web1", private_key_file: path };
    const args = workspace.args("client", "--keep-going").slice(1);
    await using process = await workspace.spawn("client", args);
    const writer = process.stdin.getWriter();
    const stdout = process.stdout.getReader();
    const write = (text: string) => writer.write(new TextEncoder().encode(text));
    await write(`${JSON.stringify(block)}\n${END}\nEXEC: true\n`);
    await write("EXEC: echo waiting; exec sleep 300\nEXEC: echo again\n");
    await readUntil(stdout, "waiting\n");
    await sshd.killConnections();
    await readUntil(stdout, "again\n");
    // Lost while nothing waits: nobody notices.
    await sshd.killConnections();
    await workspace.run("exec", ["web1", "-i", path, "--", "true"]);
    await write("EXEC: echo third\n");
    await readUntil(stdout, "third\n");
    await writer.close();
    await stdout.cancel();
    const stderr = await new Response(process.stderr).text();
    assertEquals((await process.status).code, 0);
    // `again` may have been said, but its action not yet ended, when the second connection was cut.
    assertMatch(stderr, /^(holdfast: [^\n]*Lost [^\n]*\n){1,2}$/);
  },
);

test.needs("sshd", "namespaces")("relay: a host without a runtime is served alike", async () => {
  await using account = await createAccount();
  await using sshd = await startSshd({ authorizedKeys: [] });
  await using workspace = await Workspace.create();
  await workspace.trust(sshd);
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await Deno.writeTextFile(`${workspace.home}/file`, "text");
  const lines = "EXEC: printf 1\nPUT: file copy\nEXEC: cat copy\nEXEC: exit 9\n";
  const outcome = await relay(workspace, ["web1"], lines);
  assertEquals([outcome.code, outcome.stdout, outcome.stderr], [9, "1text", ""]);
});

test("relay: a signal ends what is under way, and nothing more is begun", async () => {
  await using workspace = await Workspace.create();
  await using process = await workspace.spawn("client", ["-k", "local"]);
  const writer = process.stdin.getWriter();
  const stdout = process.stdout.getReader();
  await writer.write(new TextEncoder().encode("EXEC: echo on; exec sleep 300\nEXEC: echo no\n"));
  await readUntil(stdout, "on\n");
  process.kill("SIGTERM");
  assertEquals((await process.status).code, 143);
  assertEquals((await stdout.read()).done, true);
  await Promise.all([writer.close().catch(() => {}), process.stderr.cancel()]);
});

test("relay: a reader that goes away ends it quietly", async () => {
  await using workspace = await Workspace.create();
  await using process = await workspace.spawn("client", ["local"]);
  const writer = process.stdin.getWriter();
  const stdout = process.stdout.getReader();
  await writer.write(new TextEncoder().encode("EXEC: yes\nEXEC: echo no >&2\n"));
  await readUntil(stdout, "y\n");
  await stdout.cancel();
  assertEquals((await process.status).code, 141);
  assertEquals(await new Response(process.stderr).text(), "");
  await writer.close().catch(() => {});
});
