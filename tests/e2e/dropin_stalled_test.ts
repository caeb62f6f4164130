/** An endless stream through the drop-in whose reader has stopped: it comes to a halt, and costs no process its memory. */
import { createAccount } from "../support/accounts.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { Workspace } from "../support/holdfast.ts";
import { bytesWritten, descendantsOf, peakMemory, residentMemory } from "../support/processes.ts";
import { programLine } from "../support/program.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const MB = 2 ** 20;
/** What a process may take for it. */
const GROWTH = 32 * MB;
/** What is read once the reader goes on: more than all windows on the way hold together. */
const READ = 200 * MB;
/** As many looks without a byte more, 50 ms apart, and it stands still. */
const STILL = 20;

const TARGETS = {
  "a core": { runtimes: ["deno"], target: "web1", program: "ours" },
  "a core behind sudo": { runtimes: ["deno"], target: "web1,sudo", program: "ours" },
  "no runtime": { runtimes: [], target: "web1", program: "ours" },
  // Which asks the daemon for its session.
  "a core, by ssh itself": { runtimes: ["deno"], target: "web1", program: "ssh" },
} as const;

for (const [what, { runtimes, target, program }] of Object.entries(TARGETS)) {
  test.needs("sshd", "ssh", "namespaces", "sudo")(
    `dropin: an endless stream into a stopped reader grows no process, on ${what}`,
    async (t) => {
      await using sshd = await startSshd();
      await using account = await createAccount({ runtimes: [...runtimes], sudo: "nopasswd" });
      await using workspace = await Workspace.create();
      await workspace.addHost("web1", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      const gate = `${account.home}/gate`;
      await workspace.run("ssh", ["web1", `mkfifo ${gate}`]);
      const env = await workspace.env();
      const ours = `${programLine({ home: workspace.home })} ssh`;
      const words = `-F ${workspace.config} -S ${workspace.dir}/ssh/%C ${target}`;
      const ssh = `${program === "ours" ? ours : program} ${words}`;
      const start = (line: string, stdin: "null" | "piped" = "null") =>
        new Deno.Command("bash", {
          args: ["-c", line],
          env,
          clearEnv: true,
          stdin,
          stdout: "piped",
          stderr: "inherit",
        }).spawn();

      // What a client weighs that has carried a byte and waits for the next.
      const idle = start(`exec ${ssh} cat`, "piped");
      const typed = idle.stdin.getWriter();
      await typed.write(new Uint8Array(1));
      const shown = idle.stdout.getReader();
      assertEquals((await shown.read()).value?.length, 1);
      const idleClient = residentMemory(idle.pid);
      await typed.close();
      assertEquals([(await shown.read()).done, (await idle.status).code], [true, 0]);

      const processes = () => [...workspace.processes(), ...descendantsOf(sshd.pid)];
      /** Lets `flow` begin and come to a halt; `from` is the process below which its zeros are made. */
      const stall = async (flow: () => Deno.ChildProcess, from?: number) => {
        const before = new Map(processes().map(({ pid }) => [pid, residentMemory(pid)]));
        const child = flow();
        await standstill(from ?? child.pid);
        for (const { pid, command } of processes()) {
          const growth = peakMemory(pid) - (before.get(pid) ?? idleClient);
          assert(growth <= GROWTH, `${growth / MB} MB: ${command}`);
        }
        return child;
      };

      await t.step("from there", async () => {
        const flow = await stall(() => start(`exec ${ssh} cat /dev/zero`), sshd.pid);
        const reader = flow.stdout.getReader();
        for (let read = 0; read < READ;) read += (await reader.read()).value!.length;
        await reader.cancel();
        // Nobody reads any more.
        assertEquals((await flow.status).code, 255);
      });

      await t.step("to there", async () => {
        const command = `'head -c1 ${gate} >/dev/null; head -c ${READ} | wc -c'`;
        const flow = await stall(() => start(`cat /dev/zero | ${ssh} ${command}`));
        await Deno.writeTextFile(gate, "x");
        const { code, stdout } = await flow.output();
        assertEquals([code, new TextDecoder().decode(stdout)], [0, `${READ}\n`]);
      });

      assertEquals(await sshd.logins(), 1);
    },
  );
}

/** Resolves when what makes zeros below this process has made some, and makes no more. */
async function standstill(pid: number): Promise<void> {
  let made = 0;
  const deadline = performance.now() + 60_000;
  for (let still = 0; still < STILL; still++) {
    assert(performance.now() < deadline, `it never stood still: ${made} bytes`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const source = descendantsOf(pid).find(({ command }) => command === "cat /dev/zero");
    const now = source ? bytesWritten(source.pid) : 0;
    if (now !== made || now === 0) still = 0;
    made = now;
  }
}
