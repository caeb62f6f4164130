/** The drop-in on a real terminal: the login shell, size changes, escape characters, what is left of the terminal. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { play } from "../support/terminal.ts";
import { test } from "../support/test.ts";

for (const runtime of ["deno", "none"] as const) {
  test.needs("python3", "script", "sshd", "namespaces", "sudo")(
    `dropin: on a terminal, on ${runtime === "none" ? "no runtime" : runtime}`,
    async (t) => {
      await using sshd = await startSshd();
      await using account = await createAccount({
        runtimes: runtime === "none" ? [] : [runtime],
        sudo: "nopasswd",
      });
      await Deno.chmod(account.home, 0o755);
      await using workspace = await Workspace.create();
      await workspace.addHost("web1", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);

      for (const target of ["web1", `web1,sudo=${account.name}`]) {
        const closed = `Connection to ${target} closed.`;

        await t.step(`a command, its size and its keys, ${target}`, async () => {
          const command = `trap 'echo now $(stty size)' WINCH; trap 'echo caught; exit 7' INT; ` +
            `echo at $(stty size) $TERM; echo go; while :; do sleep 0.05; done`;
          const { status, shown, restored } = await play(
            workspace,
            ["ssh", "-t", target, command],
            [
              ["go", "size", [41, 99]],
              ["now 41 99", "type", "\x03"],
            ],
          );
          for (const text of ["at 30 100 xterm", "caught", closed]) {
            assertStringIncludes(shown, text);
          }
          assertEquals([status, restored], [7, true]);
        });

        await t.step(
          `a program that draws gets its line feeds as they are, ${target}`,
          async () => {
            for (const way of ["ssh", "exec"]) {
              const command = "stty raw; printf 'one\\ntwo\\n'; read x";
              const { status, shown, restored } = await play(workspace, [
                way,
                "-t",
                target,
                command,
              ], [
                ["two", "type", "\n"],
              ]);
              assertStringIncludes(shown, "one\ntwo\n");
              assertEquals([status, restored], [0, true]);
            }
          },
        );

        await t.step(`the login shell, ${target}`, async () => {
          const { status, shown, restored } = await play(workspace, ["ssh", target], [
            ["", "type", "shopt login_shell; tty; exit 5\r"],
          ]);
          assertMatch(shown, /login_shell\s+on\s+\/dev\/pts\/\d+\s/);
          assertStringIncludes(shown, closed);
          assertEquals([status, restored], [5, true]);
        });

        await t.step(`escapes, ${target}`, async () => {
          const words = ["ssh", "-t", target, "echo go; stty -echo; cat"];
          const { status, shown, restored } = await play(workspace, words, [
            ["go", "type", "a~.\r"],
            ["a~.", "type", "~~.\r"],
            ["~.", "type", "~?"],
            ["Supported escape sequences", "type", "~."],
          ]);
          assertStringIncludes(shown, closed);
          assertEquals([status, restored], [255, true]);
          const none = await play(workspace, ["ssh", "-t", "-e", "none", ...words.slice(2)], [
            ["go", "type", "~.\r"],
            ["~.", "type", "\x04"],
          ]);
          assertEquals([none.status, none.restored], [0, true]);
        });

        await t.step(`one that is ended gives the terminal back, ${target}`, async () => {
          const words = ["ssh", "-t", target, "echo go; exec sleep 1000"];
          const { status, restored } = await play(workspace, words, [["go", "kill", "SIGTERM"]]);
          assertEquals(restored, true);
          assert(status === 255 || status === 143, String(status));
        });
      }
    },
  );
}

test.needs("ssh-agent", "ssh-add", "sshd", "namespaces")(
  "dropin: -A forwards the agent",
  async () => {
    await using sshd = await startSshd();
    await using account = await createAccount({ runtimes: ["deno"] });
    await using workspace = await Workspace.create();
    await workspace.addHost("web1", { user: account.name, port: sshd.port });
    await workspace.trust(sshd);
    const socket = workspace.join("agent");
    await using _agent = new Deno.Command("ssh-agent", {
      args: ["-D", "-a", socket],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = _agent.stdout.getReader();
    await reader.read();
    await reader.cancel();
    const env = { SSH_AUTH_SOCK: socket };
    const list = (...words: string[]) =>
      workspace.run("ssh", [...words, "web1", "ssh-add -l 2>&1; true"], { env });
    assertMatch((await list("-A")).stdout, /The agent has no identities/);
    assertMatch((await list("-oForwardAgent=yes")).stdout, /The agent has no identities/);
    for (const words of [["-a"], ["-tt"], []]) {
      assertMatch((await list(...words)).stdout, /Could not open a connection/);
    }
    _agent.kill("SIGTERM");
  },
);
