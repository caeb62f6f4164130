/** `-O` of the drop-in: what ssh asks of a master, over connections that the daemon holds. */
import { assertEquals, assertMatch } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";
import { EchoServer, exchange, freePort } from "./forward_fixture.ts";

test.needs("sshd", "ssh", "namespaces", "sudo")("dropin: -O over held connections", async (t) => {
  await using echo = new EchoServer(Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  await using sshd = await startSshd();
  await using account = await createAccount({ runtimes: ["deno"], sudo: "nopasswd" });
  await using workspace = await Workspace.create();
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  const address = `127.0.0.1:${echo.port}`;
  const ssh = async (...words: string[]) => {
    const { code, stdout, stderr } = await workspace.run("ssh", words);
    return [code, stdout, stderr];
  };
  const pid = async () => JSON.parse((await workspace.run("status", ["--json"])).stdout).pid;
  const reach = (port: number) => Deno.connect({ hostname: "127.0.0.1", port });
  const isClosed = (port: number) => reach(port).then((conn) => (conn.close(), false), () => true);

  for (const target of ["web1", "web1,sudo"]) {
    const none = [255, "", `holdfast: no connection to ${target} is held\r\n`];

    await t.step(`check, exit and stop, ${target}`, async () => {
      for (const command of ["check", "exit", "stop", "forward", "cancel"]) {
        assertEquals(await ssh("-O", command, "-L", "1:h:2", target), none, command);
      }
      await ssh(target, "true");
      const running = [0, "", `Master running (pid=${await pid()})\r\n`];
      assertEquals(await ssh("-O", "check", target), running);
      // Ways to say where a master's socket is, where there is none.
      const path = workspace.join("no-such-socket");
      assertEquals(await ssh("-S", path, "-O", "check", target), running);
      assertEquals(await ssh(`-oControlPath=${path}`, "-O", "check", target), running);
      assertEquals(await ssh("-O", "exit", target), [0, "", "Exit request sent.\r\n"]);
      assertEquals(await ssh("-O", "check", target), none);
      await ssh(target, "true");
      assertEquals(await ssh("-q", "-O", "stop", target), [0, "", ""]);
      assertEquals(await ssh("-O", "check", target), none);
    });

    await t.step(
      `stop lets sessions end, and gives the next one a new connection, ${target}`,
      async () => {
        await using process = await workspace.spawn("ssh", [target, "echo up; cat; exit 7"]);
        const reader = process.stdout.getReader();
        await reader.read();
        assertEquals(await ssh("-O", "stop", target), [0, "", "Stop listening request sent.\r\n"]);
        assertEquals(await ssh("-O", "check", target), none);
        const held = async () => {
          const { connections } = JSON.parse((await workspace.run("status", ["--json"])).stdout);
          return connections.filter((one: { target: string }) => one.target === target).length;
        };
        assertEquals(await held(), 1);
        assertEquals(await ssh(target, "echo on"), [0, "on\n", ""]);
        assertEquals(await held(), 2);
        await process.stdin.close();
        assertEquals((await process.status).code, 7);
        await reader.cancel();
        await process.stderr.cancel();
      },
    );

    await t.step(`forward and cancel, ${target}`, async () => {
      await ssh(target, "true");
      const [local, remote] = [freePort(), freePort()];
      const forwards = ["-L", `${local}:${address}`, "-R", `${remote}:${address}`];
      assertEquals(await ssh("-O", "forward", ...forwards, target), [0, "", ""]);
      for (const port of [local, remote]) assertEquals(await exchange(await reach(port)), true);
      // Once more is not too often.
      assertEquals(await ssh("-O", "forward", ...forwards, target), [0, "", ""]);
      assertEquals(await ssh("-O", "cancel", "-L", `${local}:${address}`, target), [0, "", ""]);
      assertEquals(await isClosed(local), true);
      assertEquals(await exchange(await reach(remote)), true);
      assertEquals(await ssh("-O", "cancel", "-L", `${local}:${address}`, target), [
        255,
        "",
        `Cannot cancel localhost:${local} to ${address}: it is not forwarded\r\n`,
      ]);
      // A port that the other side chooses is all that is said.
      const [code, port, stderr] = await ssh("-O", "forward", "-R", `0:${address}`, target);
      assertEquals([code, stderr], [0, ""]);
      assertMatch(String(port), /^\d+\n$/);
      assertEquals(await exchange(await reach(Number(port))), true);
      const again = await ssh("-O", "forward", "-R", `0:${address}`, target);
      assertEquals(again, [0, port, ""]);
      const chosen = `${Number(port)}:${address}`;
      assertEquals(await ssh("-O", "cancel", "-R", chosen, target), [0, "", ""]);
      assertEquals(await isClosed(Number(port)), true);
      // What cannot be is no success.
      const taken = await ssh("-O", "forward", "-R", `127.0.0.1:${echo.port}:h:1`, target);
      assertEquals(taken.slice(0, 2), [255, ""]);
      assertMatch(String(taken[2]), /remote port forwarding failed for listen port/);
      assertEquals((await ssh("-O", "forward", target)).slice(0, 2), [255, ""]);
      // They go with the connection.
      assertEquals((await ssh("-O", "exit", target))[0], 0);
      while (!await isClosed(remote));
    });

    await t.step(
      `cancel ends what another session forwards, and not the session, ${target}`,
      async () => {
        const port = freePort();
        const words = ["-L", `${port}:${address}`, target];
        await using process = await workspace.spawn("ssh", [...words, "echo up; cat; exit 6"]);
        const reader = process.stdout.getReader();
        await reader.read();
        assertEquals(await exchange(await reach(port)), true);
        assertEquals(await ssh("-O", "cancel", ...words), [0, "", ""]);
        assertEquals(await isClosed(port), true);
        await process.stdin.close();
        assertEquals((await process.status).code, 6);
        await reader.cancel();
        await process.stderr.cancel();
      },
    );
  }

  await t.step("a real master is the system's ssh's business", async () => {
    const path = workspace.join("master");
    const real = (...words: string[]) => ["-S", path, ...words, "web1"];
    const run = async (program: string, ...args: string[]) => {
      const env = await workspace.env();
      const all = program === "ssh" ? ["-F", workspace.config, ...args] : args;
      const command = new Deno.Command(program, { args: all, env, clearEnv: true, stdin: "null" });
      return (await command.output()).code;
    };
    assertEquals(await run("ssh", "-o", "LogLevel=QUIET", "-fNM", ...real()), 0);
    const [code, , stderr] = await ssh("-O", "check", ...real());
    assertEquals(code, 0);
    assertMatch(String(stderr), /^Master running \(pid=\d+\)\r\n$/);
    assertEquals(String(stderr).includes(`=${await pid()})`), false);
    assertEquals((await ssh("-O", "exit", ...real()))[0], 0);
    assertEquals((await ssh("-S", path, "-O", "proxy", "web1,sudo"))[0], 255);
  });
});
