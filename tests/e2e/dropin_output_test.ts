/** The drop-in where its output goes nowhere: readers that leave, full disks, a caller that waits for the output's end. */
import { createAccount } from "../support/accounts.ts";
import { assertEquals, assertMatch } from "../support/assert.ts";
import { Workspace } from "../support/holdfast.ts";
import { killProcesses, type ProcessInfo, waitUntilGone } from "../support/processes.ts";
import { programLine } from "../support/program.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

/** Writes until it cannot, and has a status of its own. */
const STUBBORN = `trap "" PIPE; while echo x; do :; done 2>/dev/null; exit 9`;

for (const runtime of ["deno", "node18", "bun", "none"] as const) {
  const what = runtime === "none" ? "no runtime" : runtime;
  const needs = runtime === "none" || runtime === "deno" ? [] : [runtime];
  test.needs("sshd", "ssh", "namespaces", ...needs)(
    `dropin: output that goes nowhere, on ${what}`,
    async (t) => {
      await using sshd = await startSshd();
      await using account = await createAccount({
        runtimes: runtime === "none" ? [] : [runtime],
      });
      await using workspace = await Workspace.create();
      await workspace.addHost("web1", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      // Where there is a core, it is to be the one that runs them.
      for (let i = 0; i < 2; i++) await workspace.run("exec", ["web1", "true"]);
      const env = await workspace.env();
      const line = `${programLine({ home: workspace.home })} ssh -F ${workspace.config}`;
      /** In bash, where `S` is ssh's name. */
      const shell = async (script: string, ssh = line) => {
        // A process that hangs would hold its output open, too.
        const { code, stdout, stderr } = await new Deno.Command("timeout", {
          args: ["-k", "1", "30", "bash", "-c", `S() { ${ssh} "$@"; }\n${script}`],
          env,
          clearEnv: true,
          stdin: "null",
        }).output();
        const [out, said] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
        return { code, out, said };
      };
      const same = async (script: string, ssh = line) => {
        const ours = await shell(script, ssh);
        assertEquals(ours, await shell(script, `ssh -F ${workspace.config}`), script);
        return ours;
      };
      // ssh itself, which asks the daemon for its session.
      const held = `ssh -F ${workspace.config} -S ${workspace.dir}/ssh/%C`;
      assertMatch((await shell("S -O check web1", held)).said, /^Master running/);

      for (const [way, ssh] of [["", line], [", ssh itself", held]]) {
        await t.step(`a reader that leaves ends the command as a pipe does${way}`, async () => {
          await same("S web1 yes | head -1; echo ${PIPESTATUS[0]}", ssh);
          const script = `S web1 '${STUBBORN}' | head -1; echo \${PIPESTATUS[0]}`;
          // Elsewhere it cannot be told by its output, and is ended.
          const status = runtime === "deno" ? 9 : 255;
          assertEquals((await shell(script, ssh)).out, `x\n${status}\n`);
        });

        await t.step(`of error output it notices nothing${way}`, async () => {
          // Its reader is gone before the second line comes.
          const gone = workspace.join("gone");
          await shell(`mkfifo ${gone}`);
          const { out } = await same(
            `S web1 'echo 1 >&2; read x; echo 2 >&2; echo 3 >&2; echo out; exit 3' ` +
              `2> >(head -1 >/dev/null; exec >/dev/null; echo >${gone}) < <(cat ${gone}); echo $?`,
            ssh,
          );
          assertEquals(out, "out\n3\n");
          await Deno.remove(gone);
        });
      }

      await t.step("what cannot be written is said, where something can be said", async () => {
        const full = await shell("S web1 'echo lost; exit 3' >/dev/full");
        assertEquals(full.code, 255);
        assertMatch(full.said, /^holdfast: Cannot write .*: no space left on the device\r\n$/);
        assertEquals((await shell("S web1 'echo lost >&2; exit 3' 2>/dev/full")).code, 255);
        assertEquals((await shell("S nosuch.invalid true 2>/dev/full")).code, 255);
      });

      await t.step("-fN keeps nobody waiting for the end of its output", async () => {
        const socket = workspace.join("socket");
        const { code, out } = await shell(
          `echo "[$(S -fN -L ${socket}:127.0.0.1:${sshd.port} web1 2>&1)]"; test -S ${socket}`,
        );
        assertEquals([code, out], [0, "[]\n"]);
        const inBackground = (): ProcessInfo[] =>
          workspace.processes().filter(({ command }) => command.includes(" -fN "));
        assertEquals(inBackground().length, 1);
        const conn = await Deno.connect({ transport: "unix", path: socket });
        const greeting = new Uint8Array(4);
        await conn.read(greeting);
        conn.close();
        assertEquals(new TextDecoder().decode(greeting), "SSH-");
        await killProcesses(inBackground());
        await Deno.remove(socket);
        // What keeps it from that is still told, and its status.
        const failed = await shell(
          `said=$(S -fN -o ExitOnForwardFailure=yes -L /nowhere/at/all:127.0.0.1:1 web1 2>&1); echo "$? $said"`,
        );
        assertMatch(failed.out, /^255 Cannot listen on \/nowhere[^]*Could not request local/);
        assertEquals(await waitUntilGone(inBackground), []);
      });
    },
  );
}
