/** Stacks of different methods with real passwords: sudo, su, containers and sandboxes behind one sshd. */
import { assertEquals } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { startContainer } from "../support/container.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

for (const runtime of ["deno", "node", "bun"] as const) {
  const needs = ["sshd", "namespaces", "sudo", "podman", "runc", "busybox", "bwrap", runtime];
  test.needs(...needs)(`mixed stacks, on ${runtime}`, async (t) => {
    await using sshd = await startSshd();
    await using box = await startContainer({ runtimes: [runtime] });
    await using account = await createAccount({
      runtimes: [runtime],
      password: "firsT-s3cret",
      sudo: "password",
    });
    await using other = await createAccount({ password: "seconD-s3cret", sudo: "password" });
    for (const { home } of [account, other]) await Deno.chmod(home, 0o755);
    await using workspace = await Workspace.create();
    await workspace.addHost("web1", { user: account.name, port: sshd.port });
    await workspace.trust(sshd);
    // Each hop has its own password, told apart by the hop that asks.
    const answers = workspace.join("answers");
    await Deno.writeTextFile(
      answers,
      `case $HOLDFAST_TARGET in web1,sudo) echo firsT-s3cret;; *) echo seconD-s3cret;; esac\n`,
      { mode: 0o600 },
    );
    const exec = async (target: string, command: string) => {
      const options = ["--password-command", `. ${answers}`];
      const { code, stdout, stderr } = await workspace.run("exec", [...options, target, command]);
      return { code, stdout, stderr };
    };
    const fine = (stdout: string) => ({ code: 0, stdout, stderr: "" });

    await t.step("a container behind sudo, and contexts in it: five deep", async () => {
      const target = `web1,sudo,podman=${box.name},local,local`;
      assertEquals(
        await exec(target, "id -un; cat /etc/passwd"),
        fine(
          "root\nroot:x:0:0:root:/root:/bin/sh\n",
        ),
      );
    });

    await t.step("a file goes into the container, by no disk in between", async () => {
      const local = workspace.join("file");
      const content = crypto.getRandomValues(new Uint8Array(60_000));
      await Deno.writeFile(local, content, { mode: 0o640 });
      const target = `web1,sudo,podman=${box.name}`;
      const put = await workspace.run("put", [target, local, "/tmp/there"]);
      assertEquals([put.code, put.stderr], [0, ""]);
      const back = workspace.join("back");
      const fetched = await workspace.run("fetch", [`${target},local`, "/tmp/there", back]);
      assertEquals([fetched.code, fetched.stderr], [0, ""]);
      assertEquals(await Deno.readFile(back), content);
    });

    await t.step("su with its password, sudo with another, a sandbox: six deep", async () => {
      const target = `web1,su=${other.name},sudo,nsenter=${Deno.pid},local,bwrap`;
      assertEquals(await exec(target, "id -un; echo $HOME"), fine("root\n/root\n"));
      const { stdout } = await exec(`web1,su=${other.name}`, "id -un; echo $HOME; pwd");
      assertEquals(stdout, `${other.name}\n${other.home}\n${other.home}\n`);
    });

    await t.step("a container that ends takes what is in it along, and says so", async () => {
      const target = `web1,sudo,podman=${box.name},local`;
      await using waiting = await workspace.spawn("exec", [target, "echo up; exec sleep 60"]);
      const reader = waiting.stdout.getReader();
      await reader.read();
      await box.stop();
      const [{ code }, said] = await Promise.all([
        waiting.status,
        new Response(waiting.stderr).text(),
      ]);
      assertEquals([code, said.includes(`web1,sudo,podman=${box.name}`)], [255, true], said);
      await reader.cancel();
      await waiting.stdin.close().catch(() => {});
      const again = await exec(target, "true");
      assertEquals([
        again.code,
        again.stderr.startsWith(`holdfast: web1,sudo,podman=${box.name}: podman `),
      ], [
        255,
        true,
      ], again.stderr);
    });
  });
}
