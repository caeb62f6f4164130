/** sftp and scp, real and unmodified, where there is no sftp-server: a container behind ssh and sudo. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { startContainer } from "../support/container.ts";
import { noise, snapshot } from "../support/file_bench.ts";
import { Workspace } from "../support/holdfast.ts";
import { programLine } from "../support/program.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const NAMES = ["a b", "line\nbreak", "'quote\"", "\\back", "é…", "*?[", "x".repeat(255)];

for (const runtime of ["deno", "node18", "bun"] as const) {
  test.needs("sshd", "scp", "sftp", "namespaces", "sudo", "podman", "runc", "busybox", runtime)(
    `dropin: sftp and scp into a container without a server, on ${runtime}`,
    async (t) => {
      await using sshd = await startSshd();
      await using box = await startContainer({ runtimes: [runtime] });
      await using account = await createAccount({ runtimes: [runtime], sudo: "nopasswd" });
      await Deno.chmod(account.home, 0o755);
      await using workspace = await Workspace.create();
      await workspace.addHost("web1", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      const ssh = await sshProgram(workspace);
      const env = await workspace.env();
      const target = `web1,sudo,podman=${box.name}`;
      const inside = (...words: string[]) => box.run("/bin/busybox", ...words);

      const run = async (program: string, ...args: string[]) => {
        const command = new Deno.Command(program, { args, env, clearEnv: true });
        const { code, stdout, stderr } = await command.output();
        const [out, said] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
        return { code, out, said };
      };
      const batch = async (...lines: string[]) => {
        const path = workspace.join("batch");
        await Deno.writeTextFile(path, lines.map((line) => `${line}\n`).join(""));
        return await run("sftp", "-S", ssh, "-b", path, target);
      };
      const fine = async (outcome: Promise<{ code: number; out: string; said: string }>) => {
        const { code, out, said } = await outcome;
        assertEquals(code, 0, said);
        return out;
      };

      const tree = workspace.join("tree");
      await Deno.mkdir(`${tree}/deep/er`, { recursive: true });
      for (const name of NAMES) await Deno.writeTextFile(`${tree}/${name}`, name);
      for (const mode of [0o600, 0o444, 0o777]) {
        await Deno.writeTextFile(`${tree}/deep/${mode}`, "x");
        await Deno.chmod(`${tree}/deep/${mode}`, mode);
      }
      await Deno.writeFile(`${tree}/big`, noise(9_000_001));
      for (let i = 0; i < 120; i++) await Deno.writeTextFile(`${tree}/deep/er/${i}`, `${i}\n`);
      // Whole seconds are all that SFTP has.
      let time = 1e9;
      for (const name of [0o600, 0o444, 0o777, "er"]) {
        await Deno.utime(`${tree}/deep/${name}`, time, time++);
      }
      for (const { name } of Deno.readDirSync(tree)) {
        await Deno.utime(`${tree}/${name}`, time, time++);
      }
      for await (const entry of Deno.readDir(`${tree}/deep/er`)) {
        await Deno.utime(`${tree}/deep/er/${entry.name}`, time, time);
      }
      await Deno.utime(tree, time, time);
      const content = await snapshot(tree);

      await t.step("scp -r -p, there and back, byte for byte", async () => {
        await fine(run("scp", "-rp", "-S", ssh, tree, `${target}:/tmp/scp`));
        await fine(run("scp", "-rp", "-S", ssh, `${target}:/tmp/scp`, workspace.join("scp")));
        assertEquals(await snapshot(workspace.join("scp")), content);
        assertEquals(await inside("stat", "-c", "%a %Y", "/tmp/scp/deep/292"), "444 1000000001\n");
      });

      await t.step("sftp put -R -p and get -R -p", async () => {
        await fine(
          batch(`put -Rp ${tree} /tmp/sftp`, `get -Rp /tmp/sftp ${workspace.join("got")}`),
        );
        assertEquals(await snapshot(workspace.join("got")), content);
        const [there] = (await inside("sha256sum", "/tmp/sftp/big")).split(" ");
        assertEquals((await fine(run("sha256sum", `${tree}/big`))).split(" ")[0], there);
      });

      await t.step("transfers go on where they were cut", async () => {
        const half = workspace.join("half");
        await Deno.writeFile(half, noise(4_000_000));
        await fine(batch(`put ${half} /tmp/part`, `reput ${tree}/big /tmp/part`));
        await fine(batch(`get /tmp/part ${workspace.join("whole")}`, `reget /tmp/part ${half}`));
        for (const path of [half, workspace.join("whole")]) {
          assertEquals(await Deno.readFile(path), await Deno.readFile(`${tree}/big`));
        }
      });

      await t.step("what else sftp does", async () => {
        const out = await fine(batch(
          ...["cd /tmp", "mkdir m", "put -f " + `${tree}/deep/384 m/a`, "chmod 640 m/a"],
          ...["rename m/a m/b", "ln m/b m/hard", "symlink b m/soft", "ls -ln m"],
          ...["-rename m/none m/other", "chown 12 m/b", "chgrp 13 m/b", "rm m/hard", "pwd"],
        ));
        assertMatch(out, /-rw-r----- .* \/?m\/b\n/);
        // node 18.0 cannot tell.
        const df = await batch("df -h /tmp/m");
        if (runtime === "node18") assertEquals(df.code, 1);
        else assertMatch(df.out, /Size +Used +Avail/);
        assertStringIncludes(out, "Remote working directory: /tmp\n");
        assertEquals(
          await inside("stat", "-c", "%n %F %a %u %g", "/tmp/m/b", "/tmp/m/soft"),
          "/tmp/m/b regular file 640 12 13\n/tmp/m/soft symbolic link 777 0 0\n",
        );
        const { code, said } = await batch("rm /tmp/m/none");
        assertEquals(code, 1);
        assertMatch(said, /No such file or directory/);
      });

      await t.step("scp finds the home, and says what it does not find", async () => {
        await fine(run("scp", "-S", ssh, `${tree}/big`, `${target}:`));
        await fine(run("scp", "-S", ssh, `${target}:~/big`, workspace.join("from")));
        assertEquals(await Deno.readFile(workspace.join("from")), noise(9_000_001));
        const { code, said } = await run("scp", "-S", ssh, `${target}:/none`, workspace.join("n"));
        assertEquals([code, said.includes("/none: No such file or directory")], [1, true], said);
      });

      if (runtime !== "deno") {
        await t.step("names that are not UTF-8", async () => {
          await inside("sh", "-c", 'mkdir /tmp/odd; echo x > /tmp/odd/"$(printf "\\377\\376")"');
          const got = workspace.join("odd");
          await fine(batch(`get -R /tmp/odd ${got}`));
          const { stdout } = await new Deno.Command("sh", {
            args: ["-c", 'cat "$0/$(printf "\\377\\376")"', got],
          }).output();
          assertEquals(new TextDecoder().decode(stdout), "x\n");
          await new Deno.Command("rm", { args: ["-r", got] }).output();
        });
      }

      await t.step("a client that is killed in a transfer leaves nothing running", async () => {
        const path = workspace.join("batch");
        const endless = workspace.join("endless");
        await Deno.writeFile(endless, new Uint8Array());
        await Deno.truncate(endless, 2 ** 42);
        await Deno.writeTextFile(path, `put ${endless} /tmp/cut\n`);
        const child = new Deno.Command("sftp", {
          args: ["-S", ssh, "-b", path, target],
          env,
          clearEnv: true,
          stdout: "null",
          stderr: "null",
        }).spawn();
        const isOpen = async () => {
          const list = "/bin/busybox ls -l /proc/[0-9]*/fd 2>/dev/null || :";
          return (await inside("sh", "-c", list)).includes("/tmp/cut");
        };
        const deadline = Date.now() + 20_000;
        while (!await isOpen() && Date.now() < deadline);
        assertEquals(await isOpen(), true);
        child.kill("SIGKILL");
        await child.status;
        // The file is closed when the session is.
        while (await isOpen() && Date.now() < deadline);
        assertEquals(await isOpen(), false);
        assertEquals((await workspace.run("ssh", [target, "echo on"])).stdout, "on\n");
        await inside("rm", "/tmp/cut");
      });

      await t.step("what is no SFTP ends with a status, and the context goes on", async () => {
        const { code, stderr } = await workspace.run("ssh", ["-s", target, "sftp"], {
          stdin: "GET / HTTP/1.0\r\n\r\n",
        });
        assertEquals(code, 255);
        assertMatch(stderr, /^holdfast: Cannot read an SFTP packet: /);
        assert((await workspace.run("ssh", [target, "true"])).code === 0);
      });
    },
  );
}

for (const runtime of ["deno", "none"] as const) {
  const what = runtime === "none" ? "no runtime" : runtime;
  test.needs("sshd", "scp", "namespaces")(
    `dropin: an SSH server without the subsystem, on ${what}`,
    async () => {
      await using sshd = await startSshd({ sftp: false });
      const runtimes = runtime === "none" ? [] : [runtime];
      await using account = await createAccount({ runtimes });
      await using workspace = await Workspace.create();
      await workspace.addHost("web1", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      const ssh = await sshProgram(workspace);
      const batch = workspace.join("batch");
      await Deno.writeTextFile(batch, `put ${batch} there\nget there ${workspace.join("back")}\n`);
      const { code, stderr } = await new Deno.Command("sftp", {
        args: ["-S", ssh, "-b", batch, "web1"],
        env: await workspace.env(),
        clearEnv: true,
      }).output();
      const said = new TextDecoder().decode(stderr);
      if (runtime === "none") {
        assertEquals(code, 255);
        assertMatch(said, /^holdfast: .*subsystem.*\r\n/);
      } else {
        assertEquals(code, 0, said);
        const [back, there] = [workspace.join("back"), `${account.home}/there`];
        assertEquals(await Deno.readTextFile(back), await Deno.readTextFile(there));
      }
    },
  );
}

/** sftp and scp take one word only, and never say -F. */
async function sshProgram(workspace: Workspace): Promise<string> {
  const path = workspace.join("hf ssh");
  const line = `${programLine({ home: workspace.home })} ssh -F "${workspace.config}"`;
  await Deno.writeTextFile(path, `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o755 });
  return path;
}
