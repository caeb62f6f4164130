/** Signals and the end of a client, as the command on the host sees them; on every kind of target. */
import { assertEquals } from "../support/assert.ts";
import { type Account, createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { describeProcesses, waitUntilGone } from "../support/processes.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const NUMBERS = { INT: 2, TERM: 15, HUP: 1, QUIT: 3, USR1: 10, USR2: 12 } as const;

for (const runtime of ["deno", "node", "node18", "bun", "none", "none, behind sudo"] as const) {
  const direct = runtime === "none" || runtime === "none, behind sudo";
  const needs = runtime === "none" ? [] : direct ? ["sudo"] : [runtime];
  const what = runtime.replace("none", "no runtime");
  test.needs("sshd", "namespaces", ...needs)(
    `exec: signals and lost clients, on ${what}`,
    async (t) => {
      await using sshd = await startSshd();
      await using account = await createAccount({
        runtimes: direct ? [] : [runtime],
        sudo: "nopasswd",
      });
      await using workspace = await Workspace.create();
      await workspace.addHost("target", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      // To the same account, so that the same things can be seen.
      const target = runtime === "none, behind sudo" ? `target,sudo=${account.name}` : "target";
      await workspace.run("exec", [target, "true"]);
      await workspace.run("exec", [target, "true"]);

      /** Starts a command that says `ready` when it may be disturbed. */
      const start = async (...args: string[]) => {
        const process = await workspace.spawn("exec", args);
        const reader = process.stdout.getReader();
        let said = "";
        while (!said.includes("ready\n")) {
          const { value, done } = await reader.read();
          if (done) throw new Error(`not ready: ${await new Response(process.stderr).text()}`);
          said += new TextDecoder().decode(value);
        }
        return {
          process,
          async end() {
            const stdin = process.stdin.close().catch(() => {});
            let rest = "";
            for (let part = await reader.read(); !part.done; part = await reader.read()) {
              rest += new TextDecoder().decode(part.value);
            }
            const [{ code }, stderr] = await Promise.all([
              process.status,
              new Response(process.stderr).text(),
              stdin,
            ]);
            return { code, rest, stderr };
          },
        };
      };

      for (const [name, number] of Object.entries(NUMBERS)) {
        await t.step(`SIG${name} reaches the command`, async () => {
          const { process, end } = await start(target, "echo ready; exec sleep 1000");
          process.kill(`SIG${name}` as Deno.Signal);
          const { stderr, ...rest } = await end();
          assertEquals(rest, { code: 128 + number, rest: "" });
          // Deno has its say about a debugger on USR1, which is closed again.
          if (name !== "USR1") assertEquals(stderr, "");
          await assertGone(account);
        });
      }

      await t.step("a command may handle it", async () => {
        const trap =
          "trap 'echo caught; kill $! 2> /dev/null; exit 9' USR1; sleep 1000 & echo ready; wait";
        const { process, end } = await start(target, trap);
        process.kill("SIGUSR1");
        assertEquals(await end(), { code: 9, rest: "caught\n", stderr: "" });
        await assertGone(account);
      });

      await t.step("a client killed with -9: the process group gets HUP", async () => {
        const trap = "trap 'echo hup > ~/marker; exit' HUP; echo $$ > ~/pid; " +
          "sleep 1000 & echo ready; wait";
        const { process, end } = await start(target, trap);
        process.kill("SIGKILL");
        await end();
        await assertGone(account);
        // The shell may outlive its `sleep` by the length of its trap.
        const id = Number(await Deno.readTextFile(`${account.home}/pid`));
        const shell = () => account.processes().filter(({ pid }) => pid === id);
        assertEquals(await waitUntilGone(shell), []);
        assertEquals(await Deno.readTextFile(`${account.home}/marker`), "hup\n");
      });

      await t.step("then TERM", async () => {
        const { process, end } = await start(target, "trap '' HUP; echo ready; exec sleep 1000");
        process.kill("SIGKILL");
        await end();
        await assertGone(account);
      });

      if (runtime === "deno" || direct) {
        await t.step("then KILL", async () => {
          const { process, end } = await start(
            target,
            "trap '' HUP TERM; echo ready; exec sleep 1000",
          );
          process.kill("SIGKILL");
          await end();
          await assertGone(account);
        });
      }

      await t.step("disconnect ends it", async () => {
        const { end } = await start(target, "echo ready; exec sleep 1000");
        await workspace.run("disconnect", [target]);
        assertEquals((await end()).code, 255);
        await assertGone(account);
      });

      await t.step("a command that ends well on TERM keeps its status", async () => {
        await account.write(
          "graceful",
          "#!/bin/sh\ntrap 'exit 0' TERM\necho ready\nwhile :; do sleep 0.01; done\n",
        );
        await workspace.run("exec", [target, "chmod +x graceful"]);
        for (let i = 0; i < 3; i++) {
          const { process, end } = await start(target, "./graceful");
          process.kill("SIGTERM");
          assertEquals((await end()).code, 0);
        }
      });

      await t.step("what ignores HUP behind a shell that ended is ended, too", async () => {
        const { process, end } = await start(
          target,
          "nohup sleep 1000 >/dev/null 2>&1 </dev/null & echo ready; wait",
        );
        process.kill("SIGKILL");
        await end();
        await assertGone(account);
      });

      await t.step("--leave keeps it", async () => {
        await workspace.run("exec", [target, "mkfifo go gone"]);
        const { process, end } = await start(
          "--leave",
          target,
          "echo ready; read x < go; echo $x > gone",
        );
        process.kill("SIGKILL");
        await end();
        await Deno.writeTextFile(`${account.home}/go`, "still here\n");
        assertEquals(await Deno.readTextFile(`${account.home}/gone`), "still here\n");
      });
    },
  );
}

/** Fails while a command of the test still runs; the steps all use `sleep`. */
async function assertGone(account: Account): Promise<void> {
  const left = await waitUntilGone(
    () => account.processes().filter(({ command }) => command.includes("sleep 1000")),
    { deadline: 8000 },
  );
  assertEquals(describeProcesses(left), "");
}
