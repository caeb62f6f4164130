/** `-A` of the drop-in behind hops: the agent of this machine, used by real tools in a context of another user. */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { startContainer } from "../support/container.ts";
import { Workspace } from "../support/holdfast.ts";
import { testIdentity } from "../support/identity.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

/** An agent that knows the test identity. */
async function startAgent(workspace: Workspace) {
  const socket = workspace.join("agent");
  const process = new Deno.Command("ssh-agent", {
    args: ["-D", "-a", socket],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = process.stdout.getReader();
  await reader.read(); // It says where it listens, once it does.
  const { path } = await testIdentity();
  const { success } = await new Deno.Command("ssh-add", {
    args: ["-q", path],
    env: { SSH_AUTH_SOCK: socket },
  }).output();
  assert(success, "ssh-add");
  return {
    socket,
    async [Symbol.asyncDispose]() {
      process.kill();
      await process.status;
      await reader.cancel();
    },
  };
}

for (const runtime of ["deno", "node18", "bun"] as const) {
  test.needs("sshd", "ssh", "ssh-agent", "namespaces", "sudo", runtime)(
    `dropin: -A behind hops, on ${runtime}`,
    async (t) => {
      await using sshd = await startSshd();
      await using account = await createAccount({ runtimes: [runtime], sudo: "nopasswd" });
      await using other = await createAccount({ runtimes: [runtime] });
      for (const { home } of [account, other]) await Deno.chmod(home, 0o755);
      await using workspace = await Workspace.create();
      await workspace.addHost("web1", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      await using agent = await startAgent(workspace);
      const env = { SSH_AUTH_SOCK: agent.socket };
      const ssh = async (...words: string[]) => {
        const { code, stdout, stderr } = await workspace.run("ssh", words, { env });
        return { code, stdout, stderr };
      };

      for (const target of [`web1,sudo`, `web1,sudo=${other.name}`, "web1,sudo,local"]) {
        await t.step(`its keys are seen, ${target}`, async () => {
          const { code, stdout, stderr } = await ssh("-A", target, "ssh-add -l");
          assertEquals([code, stderr], [0, ""]);
          assertMatch(stdout, /^\d+ SHA256:\S+ .*\n$/);
          assertEquals((await ssh(target, "echo $SSH_AUTH_SOCK")).stdout, "\n");
          assertEquals((await ssh("-a", target, "echo $SSH_AUTH_SOCK")).stdout, "\n");
        });

        await t.step(`another host lets us in by it, ${target}`, async () => {
          const line = "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR " +
            "-o UserKnownHostsFile=/dev/null -o IdentityFile=none " +
            `-p ${sshd.port} ${other.name}@127.0.0.1 id -un`;
          assertEquals(await ssh("-A", target, line), {
            code: 0,
            stdout: `${other.name}\n`,
            stderr: "",
          });
          assertEquals((await ssh(target, line)).code, 255);
        });

        await t.step(
          `the socket is its user's alone, and goes with the session, ${target}`,
          async () => {
            const { stdout } = await ssh(
              ...["-A", target, 'stat -c "%a %U" "$SSH_AUTH_SOCK" "$(dirname "$SSH_AUTH_SOCK")"'],
              "; echo $SSH_AUTH_SOCK; id -un",
            );
            const [socket, directory, path, user] = stdout.split("\n");
            assertEquals([socket, directory], [`600 ${user}`, `700 ${user}`]);
            const isThere = () =>
              Deno.stat(path.replace(/\/[^/]*$/, "")).then(() => true, () => false);
            const deadline = Date.now() + 5000;
            while (await isThere() && Date.now() < deadline) await ssh(target, "true");
            assertEquals(await isThere(), false);
          },
        );
      }

      await t.step("on a terminal, and for a login shell", async () => {
        const shown = await ssh("-A", "-tt", "web1,sudo", "ssh-add -l");
        assertMatch(shown.stdout, /^\d+ SHA256:\S+ .*\r\n$/);
        const { code, stdout } = await workspace.run("ssh", ["-A", "-T", "web1,sudo"], {
          env,
          stdin: "ssh-add -l; exit 3\n",
        });
        assertEquals([code, /SHA256:/.test(stdout)], [3, true]);
      });

      await t.step("many at once", async () => {
        const line = "for i in 1 2 3 4 5 6 7 8; do ssh-add -l & done; wait";
        const { stdout } = await ssh("-A", "web1,sudo", line);
        assertEquals(stdout.match(/SHA256:/g)?.length, 8);
      });

      await t.step("all of it over one login of ours", async () => {
        const { connections } = JSON.parse((await workspace.run("status", ["--json"])).stdout);
        const logins = connections.filter((one: { target: string }) => one.target === "web1");
        assertEquals(logins.length, 1);
      });

      await t.step("it goes with a killed client, and with a killed daemon", async () => {
        for (const victim of ["client", "daemon"]) {
          const words = ["-A", "web1,sudo", 'dirname "$SSH_AUTH_SOCK"; exec sleep 60'];
          await using process = await workspace.spawn("ssh", words, { env });
          const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
          const directory = (await reader.read()).value!.trim();
          assert((await Deno.stat(directory)).isDirectory);
          const { pid } = JSON.parse((await workspace.run("status", ["--json"])).stdout);
          if (victim === "client") process.kill("SIGKILL");
          else Deno.kill(pid, "SIGKILL");
          await process.status;
          const isThere = () => Deno.stat(directory).then(() => true, () => false);
          const deadline = Date.now() + 10_000;
          while (await isThere() && Date.now() < deadline) await workspace.run("status");
          assertEquals(await isThere(), false, victim);
          await reader.cancel();
          await process.stderr.cancel();
          await process.stdin.close().catch(() => {});
        }
      });

      await t.step("another agent by -oForwardAgent, and none at all", async () => {
        const there = ["web1,sudo", "ssh-add -l"];
        const env = { SSH_AUTH_SOCK: "", HF_AGENT: agent.socket };
        for (const value of [agent.socket, "$HF_AGENT"]) {
          const words = [`-oForwardAgent=${value}`, ...there];
          const { code, stdout } = await workspace.run("ssh", words, { env });
          assertEquals([code, /SHA256:/.test(stdout)], [0, true], value);
        }
        const words = ["-A", "web1,sudo", "echo $SSH_AUTH_SOCK"];
        const none = await workspace.run("ssh", words, { env });
        assertEquals([none.code, none.stdout, none.stderr], [0, "\n", ""]);
      });
    },
  );
}

test.needs("sshd", "ssh-agent", "namespaces", "sudo", "podman", "runc", "busybox")(
  "dropin: -A reaches into a container that has no network",
  async () => {
    await using sshd = await startSshd();
    await using box = await startContainer({ runtimes: ["deno"] });
    await using account = await createAccount({ runtimes: ["deno"], sudo: "nopasswd" });
    await using workspace = await Workspace.create();
    await workspace.addHost("web1", { user: account.name, port: sshd.port });
    await workspace.trust(sshd);
    await using agent = await startAgent(workspace);
    const env = { SSH_AUTH_SOCK: agent.socket };
    const words = ["-A", `web1,sudo,podman=${box.name}`, "test -S $SSH_AUTH_SOCK && echo there"];
    assertEquals((await workspace.run("ssh", words, { env })).stdout, "there\n");
  },
);
