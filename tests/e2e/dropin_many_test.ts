/** Many drop-in sessions at one moment: one login, whether a core on the host runs them or its SSH server does. */
import { createAccount } from "../support/accounts.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const CROWD = 100;
/** sshd's own number. */
const MAX_SESSIONS = 10;

const KINDS = {
  "a core": { runtimes: ["deno"], atOnce: CROWD },
  // One session is kept for signals, the others wait for their turn.
  "no runtime": { runtimes: [], atOnce: MAX_SESSIONS - 1 },
} as const;

for (const [what, { runtimes, atOnce }] of Object.entries(KINDS)) {
  test.needs("sshd", "namespaces")(
    `dropin: ${CROWD} sessions at once on one connection, on a host with ${what}`,
    async () => {
      await using sshd = await startSshd({ maxSessions: MAX_SESSIONS });
      await using account = await createAccount({ runtimes: [...runtimes] });
      await using workspace = await Workspace.create();
      await workspace.addHost("web1", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      await workspace.run("ssh", ["web1", "mkfifo gate"]);
      // Each reads its own input, says something on both sides, and is held until all have come.
      const line = (at: number) =>
        `read word; echo "$word ${at}"; echo "err ${at}" >&2; head -c1 gate >/dev/null; exit ${at}`;
      const running = Promise.all(
        Array.from(
          { length: CROWD },
          (_, at) => workspace.run("ssh", ["web1", line(at)], { stdin: `word${at}\n` }),
        ),
      );
      const held = () =>
        account.processes().filter(({ command }) => command === "head -c1 gate").length;
      const users = async () => {
        const { stdout } = await workspace.run("status", ["--json"]);
        const { connections } = JSON.parse(stdout);
        assertEquals(connections.length, 1, stdout);
        return connections[0].clients;
      };
      await until(async () => held() >= atOnce && await users() === CROWD);
      assert(held() <= Math.max(atOnce, MAX_SESSIONS), `${held()} at once`);
      using gate = await Deno.open(`${account.home}/gate`, { write: true });
      await gate.write(new Uint8Array(CROWD));
      (await running).forEach(({ code, stdout, stderr }, at) =>
        assertEquals(
          { code, stdout, stderr },
          { code: at, stdout: `word${at} ${at}\n`, stderr: `err ${at}\n` },
        )
      );
      assertEquals(await sshd.logins(), 1);
    },
  );
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (!await isSo()) {
    if (performance.now() > deadline) throw new Error("it never came to that");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
