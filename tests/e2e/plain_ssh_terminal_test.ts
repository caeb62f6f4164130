/** The system's own ssh on a terminal, over a connection that the daemon holds. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { killProcesses, readProcess, waitUntilGone } from "../support/processes.ts";
import { playCommand, type Step } from "../support/terminal.ts";
import { test } from "../support/test.ts";
import { inWorld, until } from "./plain_ssh_world.ts";

const hosts = test.needs("linux", "sshd", "ssh", "namespaces", "bash", "python3");

for (const runtime of ["deno", "none"] as const) {
  hosts(
    `plain ssh: on a terminal, on ${runtime}`,
    (t) =>
      inWorld({ runtime }, async ({ ssh, env, sshd, account, leftOpen, bash, daemon }) => {
        const logins = await sshd.logins();
        const play = (words: string[], steps: Step[]) =>
          playCommand(words, steps, { ...env, TERM: "xterm" });

        await t.step("a command, its size and its keys", async () => {
          const command = `trap 'echo now $(stty size)' WINCH; trap 'echo caught; exit 7' INT; ` +
            `echo at $(stty size) $TERM; echo go; while :; do sleep 0.05; done`;
          const { status, shown, restored } = await play(ssh("-t", "web1", command), [
            ["go", "size", [41, 99]],
            ["now 41 99", "type", "\x03"],
          ]);
          for (const text of ["at 30 100 xterm", "caught", "Shared connection to"]) {
            assertStringIncludes(shown, text);
          }
          assertEquals([status, restored], [7, true]);
        });

        await t.step("the login shell", async () => {
          const { status, shown, restored } = await play(ssh("web1"), [
            ["", "type", "shopt login_shell; tty; exit 5\r"],
          ]);
          assertMatch(shown, /login_shell\s+on\s+\/dev\/pts\/\d+\s/);
          assertEquals([status, restored], [5, true]);
        });

        await t.step("escapes", async () => {
          const { status, restored } = await play(
            ssh("-t", "web1", "echo go; stty -echo; cat"),
            [
              ["go", "type", "a~.\r"],
              ["a~.", "type", "~~.\r"],
              ["~.", "type", "~?"],
              ["not supported", "type", "~."],
            ],
          );
          assertEquals([status, restored], [255, true]);
          const none = await play(ssh("-t", "-e", "none", "web1", "echo go; stty -echo; cat"), [
            ["go", "type", "~.\r"],
            ["~.", "type", "\x04"],
          ]);
          assertEquals([none.status, none.restored], [0, true]);
        });

        await t.step("what is typed after it is the shell's", async () => {
          const line = `${
            ssh("-t", "web1", "echo over").join(" ")
          }; echo next; read -r x; echo "<$x>"`;
          const { shown } = await play(["bash", "-c", line], [["next", "type", "mine\r"]]);
          assertStringIncludes(shown, "<mine>");
        });

        await t.step("in the background it reads nothing, and in front again it does", async () => {
          const line = ssh("web1", `'echo sta""rted; while read x; do echo got-$x; done'`).join(
            " ",
          );
          const steps: Step[] = [["# ", "type", `${line} &\r`]];
          for (let count = 0, seen = "started"; count < 5; count++) {
            steps.push([seen, "type", `echo mi''ne${count}\r`]);
            seen = `mine${count}`;
          }
          steps.push(["mine4", "type", "fg\r"], ["read x", "type", "theirs\r"]);
          steps.push(["got-theirs", "type", "\x1a"], ["Stopped", "type", "echo ag''ain\r"]);
          steps.push(["again", "type", "kill -9 %1; disown %1; exit 3\r"]);
          const bash = ["bash", "--norc", "--noediting", "-i"];
          const { status, shown } = await playCommand(bash, steps, {
            ...env,
            TERM: "xterm",
          });
          assertEquals(status, 3);
          assertEquals(shown.match(/got-[^$\s]+/g), ["got-theirs"], shown);
        });

        await t.step("one that is killed takes its command along", async () => {
          for (const signal of ["SIGTERM", "SIGKILL"]) {
            const { status } = await play(ssh("-t", "web1", "echo go; exec sleep 1000"), [
              ["go", "kill", signal],
            ]);
            assert([128 + 15, 128 + 9, 255].includes(status), String(status));
            const left = () => account.processes().filter(({ command }) => /^sleep/.test(command));
            assertEquals(await waitUntilGone(left, { deadline: 15_000 }), []);
          }
        });

        assertEquals([await sshd.logins(), await leftOpen()], [logins, []]);

        await t.step("a daemon that is killed gives the terminal back", async () => {
          const played = play(ssh("-t", "web1", "echo go; sleep 1000"), []);
          const killed = readProcess(await daemon())!;
          const started = () =>
            account.processes().some(({ command }) => /^sleep 1000/.test(command));
          await until(started);
          await killProcesses([killed]);
          const { status, restored } = await played;
          assertEquals([status, restored], [255, true]);
          assertEquals((await bash("ssh web1 exit 3")).code, 3);
        });
      }),
  );
}
