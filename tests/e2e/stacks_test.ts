/**
 * Stacks of hops over a real sshd: every context behind another serves what the first one does, on each runtime.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

for (const runtime of ["deno", "node", "bun"] as const) {
  const needs = runtime === "deno" ? [] : [runtime];
  test.needs("sshd", "namespaces", "sudo", ...needs)(
    `stack: five hops deep, on ${runtime}`,
    async (t) => {
      await using sshd = await startSshd();
      await using account = await createAccount({ runtimes: [runtime], sudo: "nopasswd" });
      await using other = await createAccount({ runtimes: [runtime] });
      await using workspace = await Workspace.create();
      await workspace.addHost("bastion", { user: account.name, port: sshd.port });
      await workspace.addHost("inner", { user: other.name, port: sshd.port });
      await workspace.trust(sshd);
      await Deno.chmod(account.home, 0o755);
      const exec = (...args: string[]) => workspace.run("exec", args);
      const contexts = async () =>
        JSON.parse((await workspace.run("status", ["--json"])).stdout).connections as {
          id: number;
          above: number | null;
          target: string;
          runtime: string;
        }[];

      await t.step("a context behind sudo runs as that user", async () => {
        const { code, stdout, stderr } = await exec("bastion,sudo", "id -un; pwd; echo $HOME");
        assertEquals([code, stdout, stderr], [0, "root\n/root\n/root\n", ""]);
      });

      await t.step("each prefix is held once and shared", async () => {
        const target = `bastion,sudo,local,sudo=${account.name},local`;
        const { code, stdout, stderr } = await exec(target, "id -un; exit 7");
        assertEquals([code, stdout, stderr], [7, `${account.name}\n`, ""]);
        const held = await contexts();
        const nameOf = (id: number | null) => held.find((each) => each.id === id)?.target ?? null;
        assertEquals(held.map(({ target, above }) => [target, nameOf(above)]).sort(), [
          ["bastion", null],
          ["bastion,sudo", "bastion"],
          ["bastion,sudo,local", "bastion,sudo"],
          [`bastion,sudo,local,sudo=${account.name}`, "bastion,sudo,local"],
          [target, `bastion,sudo,local,sudo=${account.name}`],
        ]);
        assertEquals((await contexts()).map((each) => each.runtime), Array(5).fill(runtime));
        assertEquals(await sshd.logins(), 1);
      });

      await t.step("further contexts send no core: not the second, third or tenth", async () => {
        const sent = async () => {
          const { connections } = JSON.parse((await workspace.run("status", ["--json"])).stdout);
          return connections.find((each: { target: string }) => each.target === "bastion").sent;
        };
        const places = ["local", "sudo=daemon", "sudo=bin", "sudo=sys", "sudo=games"];
        const more = places.flatMap((place) => [place, `${place},local`]);
        for (const place of more) {
          const before = await sent();
          const { code, stderr } = await exec(`bastion,${place}`, "true");
          assertEquals([code, stderr], [0, ""]);
          const bytes = await sent() - before;
          assert(bytes < 2048, `${place}: ${bytes} bytes`);
        }
      });

      await t.step("ps tells what each is and whose", async () => {
        const { stdout } = await exec("bastion,sudo", "ps -eo args");
        const titles = [...stdout.matchAll(/holdfast: ([\w.,=-]+) \((\S+@\S+:\d+)\)/g)];
        const names = new Set(titles.map((match) => match[1]));
        for (const { target } of await contexts()) {
          if (target.length <= 32) assert(names.has(target), `${target} in ${[...names]}`);
        }
      });

      await t.step("a file goes straight in, with its user's rights", async () => {
        const local = workspace.join("secret");
        await Deno.writeTextFile(local, "for root only\n", { mode: 0o600 });
        const path = `/root/hf-${crypto.randomUUID()}`;
        const put = await workspace.run("put", ["bastion,sudo", local, path]);
        assertEquals([put.code, put.stderr], [0, ""]);
        const { uid, mode } = await Deno.stat(path);
        assertEquals([uid, mode! & 0o777], [0, 0o600]);
        const back = workspace.join("back");
        const fetched = await workspace.run("fetch", ["bastion,sudo,local", path, back]);
        assertEquals([fetched.code, fetched.stderr], [0, ""]);
        assertEquals(await Deno.readTextFile(back), "for root only\n");
        assertEquals((await exec("bastion,sudo", `rm ${path}`)).code, 0);
      });

      await t.step("the relay works there", async () => {
        const { code, stdout } = await workspace.run("client", ["--json", "bastion,sudo"], {
          stdin: "EXEC: id -u\nEXEC: exit 4\n",
        });
        const lines = stdout.trim().split("\n").map((line) => JSON.parse(line));
        assertEquals([code, lines.map(({ rc }) => rc)], [4, [0, 4]]);
      });

      await t.step("ssh behind a hop: its keys stay here", async () => {
        const { code, stdout, stderr } = await exec("bastion,inner", "id -un");
        assertEquals([code, stdout, stderr], [0, `${other.name}\n`, ""]);
        const deep = await exec("bastion,sudo,inner,local", "id -un");
        assertEquals([deep.code, deep.stdout, deep.stderr], [0, `${other.name}\n`, ""]);
      });

      await t.step("a hop that cannot be opened is named, and leaves nothing", async () => {
        const { code, stdout, stderr } = await exec("bastion,sudo=nobody-such", "true");
        assertEquals([code, stdout], [255, ""]);
        assertMatch(stderr, /^holdfast: bastion,sudo=nobody-such: /);
        const held = (await contexts()).map(({ target }) => target);
        assert(!held.includes("bastion,sudo=nobody-such"), `${held}`);
      });

      await t.step("a broken hop fails what is behind it, and says which", async () => {
        const target = `bastion,sudo,local,sudo=${account.name},local`;
        await using waiting = await workspace.spawn("exec", [target, "echo up; exec sleep 60"]);
        const reader = waiting.stdout.getReader();
        assertEquals(new TextDecoder().decode((await reader.read()).value), "up\n");
        const kill = await exec("bastion,sudo", "pkill -9 -f '[h]oldfast: bastion,sudo,local '");
        assertEquals(kill.code, 0);
        assertEquals((await waiting.status).code, 255);
        const said = await new Response(waiting.stderr).text();
        assertStringIncludes(said, "bastion,sudo,local");
        assertEquals((await reader.read()).done, true);
        await waiting.stdin.close().catch(() => {});
        const again = await exec(target, "echo back");
        assertEquals([again.code, again.stdout], [0, "back\n"]);
      });
    },
  );
}
