/** The host interface over one SSH connection: sessions wait for their turn, never for an error. */
import type { Child } from "../../lib/core/host.ts";
import { directHost } from "../../lib/master/direct_host.ts";
import { assertEquals } from "../support/assert.ts";
import { closing, failure, sshTest, startWorld } from "./ssh_fixture.ts";

async function textOf(child: Child): Promise<string> {
  child.stderr.cancel();
  await child.stdin.close();
  const decoder = new TextDecoder();
  let text = "";
  for (let bytes = await child.stdout.read(); bytes; bytes = await child.stdout.read()) {
    text += decoder.decode(bytes, { stream: true });
  }
  const { code } = await child.exit;
  return `${text}${code}`;
}

for (const maxSessions of [10, 2, 1]) {
  for (const sftp of [true, false]) {
    const name = `direct host: 200 commands and files at once on MaxSessions ${maxSessions}`;
    sshTest(`${name}, ${sftp ? "with" : "without"} SFTP`, async () => {
      await using world = await startWorld({ sshd: { maxSessions, sftp } });
      const connection = await world.connect();
      const host = directHost(connection);
      const run = async (i: number) =>
        await textOf(await host.spawn({ command: `echo ${i}; exit ${i % 7}` }));
      const file = async (i: number) => {
        const file = await host.create(`file${i}`, 0o600);
        await file.write(new TextEncoder().encode(`content ${i}`));
        await file.sync();
        await file.close();
        return (await host.stat(`file${i}`)).size;
      };
      const commands = Promise.all(Array.from({ length: 200 }, (_, i) => run(i)));
      const files = Promise.all(Array.from({ length: 20 }, (_, i) => file(i)));
      assertEquals(await commands, Array.from({ length: 200 }, (_, i) => `${i}\n${i % 7}`));
      assertEquals(await files, Array.from({ length: 20 }, (_, i) => `content ${i}`.length));
      // What is kept for files is given back to whom it is worth more.
      assertEquals(await run(3), "3\n3");
      assertEquals((await host.readDir("")).includes("file1"), true);
      assertEquals(await run(4), "4\n4");
      await closing(connection);
    });
  }
}

sshTest("direct host: a refused subsystem costs no session", async () => {
  await using world = await startWorld({ sshd: { maxSessions: 2 } });
  const connection = await world.connect();
  const host = directHost(connection);
  for (let i = 0; i < 5; i++) {
    const options = { command: "", session: { subsystem: "nonsense" } };
    assertEquals((await failure(host.spawn(options))).kind, "refused");
  }
  assertEquals(await textOf(await host.spawn({ command: "echo on" })), "on\n0");
  await closing(connection);
});

sshTest("direct host: a command that has the only session can be ended", async () => {
  await using world = await startWorld({ sshd: { maxSessions: 1 } });
  const connection = await world.connect();
  const host = directHost(connection);
  const child = await host.spawn({ command: "echo ready; exec sleep 1000" });
  await child.stdout.read();
  const waiting = host.spawn({ command: "echo after" });
  child.kill("SIGTERM");
  assertEquals(await child.exit, { code: null, signal: "SIGTERM" });
  child.stdout.cancel();
  child.stderr.cancel();
  assertEquals(await textOf(await waiting), "after\n0");
  await closing(connection);
});
