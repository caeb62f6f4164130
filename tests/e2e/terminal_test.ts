/**
 * Terminals: `exec -t` and prompts on a real one.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { play } from "../support/terminal.ts";
import { test } from "../support/test.ts";

const COMMAND =
  `trap 'echo now $(stty size); echo resized' WINCH; trap 'echo caught; exit 7' INT; ` +
  `test -t 0 && test -t 1 && test -t 2 && echo all terminals; echo at $(stty size) $TERM; ` +
  `echo ready; while :; do sleep 0.05; done`;

test.needs("python3", "script", "linux")("exec -t: a terminal on this machine", async () => {
  await using workspace = await Workspace.create();
  await checkTerminal(workspace, "local");
});

for (const runtime of ["deno", "node", "bun", "none"] as const) {
  const needs = runtime === "none" ? [] : [runtime];
  test.needs("python3", "script", "sshd", "namespaces", "sudo", ...needs)(
    `exec -t: a terminal behind sudo, on ${runtime === "none" ? "no runtime" : runtime}`,
    async () => {
      await using sshd = await startSshd();
      await using account = await createAccount({
        runtimes: runtime === "none" ? [] : [runtime],
        sudo: "nopasswd",
      });
      await Deno.chmod(account.home, 0o755);
      await using workspace = await Workspace.create();
      await workspace.addHost("target", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      await checkTerminal(workspace, "target,sudo");
    },
  );
}

for (const runtime of ["deno", "none"] as const) {
  const needs = test.needs("python3", "sshd", "namespaces");
  needs(
    `exec -t: a terminal on a host with ${runtime === "none" ? "no runtime" : runtime}`,
    async () => {
      await using sshd = await startSshd();
      await using account = await createAccount({ runtimes: runtime === "none" ? [] : [runtime] });
      await using workspace = await Workspace.create();
      await workspace.addHost("target", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      await checkTerminal(workspace, "target");
    },
  );
}

test.needs("python3", "script", "linux")(
  "exec -t: a client that is ended gives its terminal back",
  async () => {
    await using workspace = await Workspace.create();
    const words = ["exec", "-t", "local", "trap '' TERM; echo ready; exec sleep 1000"];
    const { status, restored } = await play(workspace, words, [["ready", "kill", "SIGHUP"]]);
    assertEquals([status, restored], [129, true]);
  },
);

test.needs("script", "linux")(
  "exec -t: without a terminal it goes on without, -tt insists",
  async () => {
    await using workspace = await Workspace.create();
    const line = "test -t 1 && stty size || echo none";
    const once = await workspace.run("exec", ["-t", "local", line]);
    assertEquals([once.code, once.stdout], [0, "none\n"]);
    assertMatch(once.stderr, /^holdfast: .*stdin is not a terminal\n$/);
    const twice = await workspace.run("exec", ["-tt", "local", line]);
    assertEquals([twice.code, twice.stdout, twice.stderr], [0, "24 80\r\n", ""]);
  },
);

test.needs("python3", "sshd", "namespaces")(
  "password: asked on the terminal, not shown, line edited",
  async () => {
    const password = "Tr0ub4dor";
    await using sshd = await startSshd({ passwordAuthentication: true });
    await using account = await createAccount({ runtimes: ["deno"], password, authorizedKeys: [] });
    await using workspace = await Workspace.create();
    const config = ["PubkeyAuthentication no", "NumberOfPasswordPrompts 1"];
    const { port } = sshd;
    await workspace.addHost("target", { user: account.name, port, identity: null, config });
    await workspace.trust(sshd);
    const words = ["exec", "target", "echo logged in"];
    const typed = `mistake\x15Tr0ub4dorx\x7f\r`;
    const asked = await play(workspace, words, [["assword", "type", typed]]);
    assertEquals([asked.status, asked.restored], [0, true]);
    assertStringIncludes(asked.shown, "logged in");
    assert(!/Tr0|mistake/.test(asked.shown), asked.shown);
    await workspace.run("disconnect", ["-F", workspace.config, "target"]);
    const stopped = await play(workspace, words, [["assword", "type", "abc\x03"]]);
    assertEquals([stopped.status, stopped.restored], [130, true]);
    const declined = await play(workspace, words, [["assword", "type", "\x04"]]);
    assertEquals([declined.status, declined.restored], [255, true]);
    const killed = await play(workspace, words, [["assword", "kill", "SIGTERM"]]);
    assertEquals([killed.status, killed.restored], [143, true]);
  },
);

async function checkTerminal(workspace: Workspace, target: string): Promise<void> {
  const { status, shown, restored } = await play(workspace, ["exec", "-t", target, COMMAND], [
    ["ready", "size", [41, 99]],
    ["resized", "type", "\x03"],
  ]);
  for (const text of ["all terminals", "at 30 100 xterm", "now 41 99", "caught"]) {
    assertStringIncludes(shown, text);
  }
  assertEquals([status, restored], [7, true]);
}
