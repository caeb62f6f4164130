/** `-R` of the drop-in, forwards of ssh_config, and the rules that both kinds follow; on one hop and behind sudo. */
import { assertEquals, assertMatch } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";
import { EchoServer, exchange, freePort } from "./forward_fixture.ts";

/** A drop-in that says "up" when its forwards listen, and ends with its input. */
class Held implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #said: Promise<string>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#said = new Response(process.stderr).text();
    this.#reader = process.stdout.getReader();
  }

  static async start(workspace: Workspace, ...words: string[]): Promise<Held> {
    const held = new Held(await workspace.spawn("ssh", [...words, "echo up; cat"]));
    await held.#reader.read();
    return held;
  }

  /** Ends it; what it said on stderr. */
  async end(): Promise<string> {
    await this.#process.stdin.close().catch(() => {});
    await this.#reader.cancel();
    await this.#process.status;
    return await this.#said;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

const tcp = (port: number, hostname = "127.0.0.1") => Deno.connect({ hostname, port });

for (const runtime of ["deno", "node18", "bun"] as const) {
  test.needs("sshd", "ssh", "namespaces", "sudo", "curl", runtime)(
    `dropin: -R and forwards of ssh_config, on ${runtime}`,
    async (t) => {
      await using echo = new EchoServer(Deno.listen({ hostname: "127.0.0.1", port: 0 }));
      await using sshd = await startSshd();
      await using account = await createAccount({ runtimes: [runtime], sudo: "nopasswd" });
      await Deno.chmod(account.home, 0o755);
      await using workspace = await Workspace.create();
      await workspace.addHost("web1", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      const address = `127.0.0.1:${echo.port}`;

      for (const target of ["web1", "web1,sudo"]) {
        await t.step(`-R of a port, ${target}`, async () => {
          const port = freePort();
          await using held = await Held.start(workspace, "-R", `${port}:${address}`, target);
          const several = await Promise.all([tcp(port), tcp(port), tcp(port, "::1")]);
          assertEquals(await Promise.all(several.map(exchange)), [true, true, true]);
          assertEquals(await held.end(), "");
          await refused(() => tcp(port));
        });

        await t.step(`-R of any port says which, ${target}`, async () => {
          await using held = await Held.start(
            workspace,
            ...["-R", `0:${address}`, "-R", "*:0:localhost:1", "-R", "0", target],
          );
          const said = await held.end();
          const lines = said.trim().split("\r\n");
          assertMatch(
            lines[0],
            new RegExp(`^Allocated port \\d+ for remote forward to ${address}$`),
          );
          assertMatch(lines[1], /^Allocated port \d+ for remote forward to localhost:1$/);
          assertMatch(lines[2], /^Allocated port \d+ for remote forward to socks:0$/);
        });

        await t.step(`-R of a Unix socket, which others cannot enter, ${target}`, async () => {
          const path = `${account.home}/remote.socket`;
          const here = workspace.join("echo.socket");
          await using local = new EchoServer(Deno.listen({ transport: "unix", path: here }));
          await using held = await Held.start(workspace, "-R", `${path}:${here}`, target);
          assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
          const owner = target === "web1" ? account.uid : 0;
          assertEquals((await Deno.stat(path)).uid, owner);
          assertEquals(await exchange(await Deno.connect({ transport: "unix", path })), true);
          const taken = await workspace.run("ssh", ["-R", `${path}:${here}`, target, "true"]);
          assertEquals(
            [taken.code, taken.stderr],
            [0, `Warning: remote port forwarding failed for listen path ${path}\r\n`],
          );
          await held.end();
          await refused(() => Deno.stat(path));
          void local;
        });

        await t.step(`-R without a destination is a SOCKS server there, ${target}`, async () => {
          const port = freePort();
          await using _held = await Held.start(workspace, "-R", String(port), target);
          for (const version of ["--socks4a", "--socks5", "--socks5-hostname"]) {
            const words = ["-s", version, `127.0.0.1:${port}`, "-m", "1", "--http0.9"];
            const reached = await curl(...words, `http://${address}`);
            // The server waits for an end that curl never sends: what counts is that it was reached.
            assertEquals(reached, 28, version);
            assertEquals(await curl(...words, `http://127.0.0.1:${freePort()}`), 97, version);
          }
        });

        await t.step(`-L of a Unix socket, which others cannot enter, ${target}`, async () => {
          const path = workspace.join(`${target}.local`);
          const words = ["-L", `${path}:${address}`, target];
          {
            await using _held = await Held.start(workspace, ...words);
            assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
            assertEquals(await exchange(await Deno.connect({ transport: "unix", path })), true);
          }
          // It is left behind, as ssh leaves it.
          const taken = await workspace.run("ssh", [...words, "true"]);
          assertMatch(taken.stderr, /^Cannot listen on .*\r\nCould not request local forwarding\./);
          const unlink = ["-oStreamLocalBindUnlink=yes", ...words];
          await using _held = await Held.start(workspace, ...unlink);
          assertEquals(await exchange(await Deno.connect({ transport: "unix", path })), true);
        });

        await t.step(`a port that is taken, ${target}`, async () => {
          const words = ["-R", `127.0.0.1:${echo.port}:h:1`, target, "echo on"];
          const without = await workspace.run("ssh", words);
          assertEquals([without.code, without.stdout], [0, "on\n"]);
          const text = `remote port forwarding failed for listen port ${echo.port}`;
          assertEquals(without.stderr, `Warning: ${text}\r\n`);
          const strict = await workspace.run("ssh", ["-oExitOnForwardFailure=yes", ...words]);
          assertEquals([strict.code, strict.stdout], [255, ""]);
          assertEquals(strict.stderr, `holdfast: ${text}\r\n`);
        });

        await t.step(`what nobody answers here is closed there, ${target}`, async () => {
          const port = freePort();
          await using held = await Held.start(
            workspace,
            ...["-R", `${port}:127.0.0.1:${freePort()}`, target],
          );
          const conn = await tcp(port);
          assertEquals(await conn.read(new Uint8Array(1)).catch(() => null), null);
          conn.close();
          assertMatch(await held.end(), /refused/);
        });

        await t.step(`-fN -R goes on in the background, ${target}`, async () => {
          const port = freePort();
          await using started = await workspace.spawn("ssh", [
            ...["-q", "-fN", "-R", `${port}:${address}`, target],
          ]);
          assertEquals((await started.status).code, 0);
          assertEquals(await exchange(await tcp(port)), true);
          await workspace.run("disconnect", [target]);
          await Promise.all([
            new Response(started.stdout).text(),
            new Response(started.stderr).text(),
            started.stdin.close().catch(() => {}),
          ]);
          await refused(() => tcp(port));
        });

        await t.step(`forwards of ssh_config and of -o, ${target}`, async () => {
          const [local, remote, socks, option] = [freePort(), freePort(), freePort(), freePort()];
          const socket = workspace.join(`${target}.l`);
          const config = workspace.join("config");
          const lines = [
            "Host web1",
            ...[`LocalForward ${local} ${address}`, `RemoteForward ${remote} ${address}`],
            ...[`DynamicForward ${socks}`, `LocalForward ${socket} ${account.home}/there`],
            `Include ${workspace.config}`,
          ];
          await Deno.writeTextFile(config, lines.join("\n") + "\n");
          const there = `${account.home}/there`;
          await using _far = new EchoServer(Deno.listen({ transport: "unix", path: there }));
          await Deno.chmod(there, 0o777);
          const words = ["-F", config, `-oLocalForward=${option} ${address}`];
          await using held = await Held.start(workspace, ...words, target);
          for (const port of [local, remote, option]) {
            assertEquals(await exchange(await tcp(port)), true, String(port));
          }
          const conn = await Deno.connect({ transport: "unix", path: socket });
          assertEquals(await exchange(conn), true);
          const proxy = ["-s", "--socks5", `127.0.0.1:${socks}`, "-m", "1", "--http0.9"];
          assertEquals(await curl(...proxy, `http://${address}`), 28);
          // As scp and sftp say it: nothing to listen on, and nothing to complain of.
          const cleared = await workspace.run("ssh", [
            ...[...words, "-oClearAllForwardings=yes", "-oExitOnForwardFailure=yes"],
            ...[target, "echo on"],
          ]);
          assertEquals([cleared.code, cleared.stdout, cleared.stderr], [0, "on\n", ""]);
          await held.end();
        });
      }
    },
  );
}

/** What is asked for must come to an end, soon: the other side hears of ours in its own time. */
async function refused(attempt: () => Promise<Deno.Conn | Deno.FileInfo>): Promise<void> {
  const deadline = Date.now() + 5000;
  while (Date.now() < deadline) {
    const found = await attempt().catch(() => null);
    if (found === null) return;
    if ("close" in found) found.close();
  }
  throw new Error("it goes on");
}

async function curl(...args: string[]): Promise<number> {
  return (await new Deno.Command("curl", { args, stdout: "null" }).output()).code;
}
