/** `-W`, `-L` and `-D` of the drop-in: connections that the last context of a stack makes. */
import { assertEquals, assertMatch } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { waitUntilGone } from "../support/processes.ts";
import { programLine } from "../support/program.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";
import { BYTES, EchoServer, exchange, freePort, isAnswer } from "./forward_fixture.ts";

for (const runtime of ["deno", "none"] as const) {
  const what = runtime === "none" ? "no runtime" : runtime;
  test.needs("sshd", "ssh", "namespaces", "sudo", "curl")(
    `dropin: forwards, on ${what}`,
    async (t) => {
      await using echo = new EchoServer(Deno.listen({ hostname: "127.0.0.1", port: 0 }));
      await using sshd = await startSshd();
      await using account = await createAccount({
        runtimes: runtime === "none" ? [] : [runtime],
        sudo: "nopasswd",
      });
      await Deno.chmod(account.home, 0o755);
      await using workspace = await Workspace.create();
      await workspace.addHost("web1", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      const address = `127.0.0.1:${echo.port}`;
      const targets = ["web1", "web1,sudo,local"];

      for (const target of targets) {
        await t.step(`-W, ${target}`, async () => {
          const { code, stdoutBytes, stderr } = await workspace.run(
            "ssh",
            ["-W", address, target],
            {
              stdin: BYTES,
            },
          );
          assertEquals([code, isAnswer(stdoutBytes), stderr], [0, true, ""]);
          const refused = await workspace.run("ssh", ["-W", `127.0.0.1:${freePort()}`, target]);
          assertEquals([refused.code, refused.stdout], [255, ""]);
          assertMatch(refused.stderr, /^holdfast: .+\r\n$/);
        });

        await t.step(`-W carries the real ssh, ${target}`, async () => {
          const line = `${programLine({ home: workspace.home })} ssh ` +
            `-F "${workspace.config}" -W 127.0.0.1:${sshd.port} ${target}`;
          const { code, stdout, stderr } = await new Deno.Command("ssh", {
            args: ["-F", workspace.config, "-o", `ProxyCommand=${line}`, "web1", "id -un; exit 3"],
            env: await workspace.env(),
            clearEnv: true,
            stdin: "null",
          }).output();
          const said = new TextDecoder().decode(stderr);
          assertEquals([code, new TextDecoder().decode(stdout)], [3, `${account.name}\n`], said);
        });

        await t.step(`-L and -D beside a command, ${target}`, async () => {
          const [port, socks] = [freePort(), freePort()];
          const path = workspace.join(`${target}.socket`);
          await using process = await workspace.spawn("ssh", [
            ...["-L", `${port}:${address}`, "-L", `${path}:${address}`, "-D", `${socks}`],
            ...[target, "echo up; cat"],
          ]);
          const reader = process.stdout.getReader();
          await reader.read();
          const connect = () => Deno.connect({ hostname: "127.0.0.1", port });
          const several = await Promise.all([connect(), connect(), connect()]);
          assertEquals(await Promise.all(several.map(exchange)), [true, true, true]);
          assertEquals(await exchange(await Deno.connect({ transport: "unix", path })), true);
          for (const version of ["--socks4", "--socks4a", "--socks5", "--socks5-hostname"]) {
            const { code, stdout } = await new Deno.Command("curl", {
              args: [
                "-s",
                version,
                `127.0.0.1:${socks}`,
                `http://${address}`,
                "--http0.9",
                "-m",
                "1",
              ],
            }).output();
            // The server waits for an end that curl never sends: what counts is that it was reached.
            assertEquals([code, stdout.length], [28, 0], version);
            const refused = await new Deno.Command("curl", {
              args: ["-s", version, `127.0.0.1:${socks}`, `http://127.0.0.1:${freePort()}`],
            }).output();
            assertEquals(refused.code, 97, version);
          }
          await process.stdin.close();
          assertEquals((await process.status).code, 0);
          await reader.cancel();
          await process.stderr.cancel();
        });
      }

      await t.step("-fN -L listens when it returns, and goes with the connection", async () => {
        const port = freePort();
        const target = targets.at(-1)!;
        const words = ["-q", "-fN", "-L", `${port}:${address}`, target];
        assertEquals((await workspace.run("ssh", words)).code, 0);
        assertEquals(await exchange(await Deno.connect({ hostname: "127.0.0.1", port })), true);
        const taken = ["-L", `127.0.0.1:${port}:h:1`, target, "echo on"];
        const without = await workspace.run("ssh", taken);
        assertEquals([without.code, without.stdout], [0, "on\n"]);
        assertMatch(
          without.stderr,
          /^Cannot listen on .*\r\nCould not request local forwarding\.\r\n$/,
        );
        const strict = await workspace.run("ssh", ["-oExitOnForwardFailure=yes", ...taken]);
        assertEquals([strict.code, strict.stdout], [255, ""]);
        await workspace.run("disconnect", [target]);
        const left = () => workspace.processes().filter(({ command }) => command.includes("-fN"));
        assertEquals(await waitUntilGone(left), []);
      });

      await t.step("-R without a core is for the system's ssh", async () => {
        const words = ["-R", `0:127.0.0.1:1`, "web1", "echo up"];
        const env = { HOLDFAST_SSH: "never" };
        if (runtime !== "none") return;
        const { code, stderr } = await workspace.run("ssh", words, { env });
        assertEquals(code, 255);
        assertMatch(stderr, /^holdfast: Cannot carry out -R: only the system's ssh can, /);
        const real = await workspace.run("ssh", words);
        assertEquals([real.code, real.stdout], [0, "up\n"]);
        assertMatch(real.stderr, /^Allocated port \d+ for remote forward to 127\.0\.0\.1:1\s*$/);
      });
    },
  );
}
