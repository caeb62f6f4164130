/** rsync, scp, sftp and git, real and unmodified, over the drop-in: one hop, three hops, root by sudo. */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { programLine } from "../support/program.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

/** A program of the machine, run in a workspace. */
type Run = (program: string, ...args: string[]) => Promise<void>;

for (const runtime of ["deno", "none"] as const) {
  test.needs("sshd", "namespaces", "sudo", "rsync", "scp", "sftp", "git")(
    `dropin: rsync, scp, sftp and git, on ${runtime === "none" ? "no runtime" : runtime}`,
    async (t) => {
      await using sshd = await startSshd();
      await using account = await createAccount({
        runtimes: runtime === "none" ? [] : [runtime],
        sudo: "nopasswd",
      });
      await Deno.chmod(account.home, 0o755);
      await using workspace = await Workspace.create();
      await workspace.addHost("web1", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      const source = workspace.join("source");
      await makeTree(source);
      // scp and sftp take one word only, and never say -F.
      const ssh = workspace.join("hf ssh");
      const line = `${programLine({ home: workspace.home })} ssh -F "${workspace.config}"`;
      await Deno.writeTextFile(ssh, `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o755 });
      const env = { ...await workspace.env(), GIT_CONFIG_NOSYSTEM: "1", GIT_SSH_COMMAND: line };
      const run: Run = async (program, ...args) => {
        const { code, stdout, stderr } = await new Deno.Command(program, {
          args,
          env,
          clearEnv: true,
        })
          .output();
        const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
        assertEquals(code, 0, `${program} ${args.join(" ")}: ${said}`);
      };

      for (const target of ["web1", "web1,sudo", "web1,sudo,local"]) {
        const there = `${account.home}/${target}`;
        const here = (name: string) => workspace.join(`${target}-${name}`);

        await t.step(`rsync, ${target}`, async () => {
          const rsync = (...args: string[]) => run("rsync", "-a", "-e", line, ...args);
          await rsync(`${source}/`, `${target}:${there}/`);
          await sameTree(source, there);
          const owner = target === "web1" ? account.uid : 0;
          assertEquals((await Deno.stat(`${there}/big`)).uid, owner);
          await Deno.writeTextFile(`${there}/extra`, "");
          await rsync("--delete", "--checksum", `${source}/`, `${target}:${there}/`);
          await sameTree(source, there);
          await rsync(`${target}:${there}/`, `${here("pulled")}/`);
          await sameTree(source, here("pulled"));
          // As users write it: with the user before the last hop.
          await rsync(`${account.name}@${target}:${there}/big`, here("one"));
        });

        for (const protocol of ["-O", "-s"]) {
          await t.step(`scp ${protocol}, ${target}`, async () => {
            const scp = (...args: string[]) => run("scp", protocol, "-q", "-p", "-S", ssh, ...args);
            const copy = `${there}${protocol}`;
            await scp("-r", source, `${target}:${copy}`);
            await sameTree(source, copy);
            await scp("-r", `${target}:${copy}`, here(`scp${protocol}`));
            await sameTree(source, here(`scp${protocol}`));
          });
        }

        await t.step(`sftp, ${target}`, async () => {
          const batch = here("batch");
          const lines = [`put ${source}/big ${there}/sftp`, `get ${there}/sftp ${here("got")}`];
          await Deno.writeTextFile(batch, lines.map((line) => `${line}\n`).join(""));
          await run("sftp", "-q", "-S", ssh, "-b", batch, target);
          await sameFile(`${source}/big`, `${there}/sftp`);
          await sameFile(`${source}/big`, here("got"));
        });

        await t.step(`git, ${target}`, async () => {
          const repository = `${there}/repository.git`;
          const user = ["-c", "user.name=a", "-c", "user.email=a@b"];
          const work = here("work");
          await run("git", "init", "-q", "-b", "main", work);
          await run("cp", "-a", `${source}/.`, work);
          await run("git", "-C", work, "add", "-A");
          await run("git", "-C", work, ...user, "commit", "-q", "-m", "one");
          await workspace.run("ssh", [target, `git init -q --bare -b main ${repository}`]);
          await run("git", "-C", work, "push", "-q", `${target}:${repository}`, "main");
          await run("git", "clone", "-q", `ssh://${target}${repository}`, here("clone"));
          await Deno.writeTextFile(`${work}/more`, "two");
          await run("git", "-C", work, "add", "-A");
          await run("git", "-C", work, ...user, "commit", "-q", "-m", "two");
          await run("git", "-C", work, "push", "-q", `${target}:${repository}`, "main");
          await run("git", "-C", here("clone"), "pull", "-q");
          await run("git", "-C", here("clone"), "fsck", "--strict");
          await sameFile(`${source}/big`, `${here("clone")}/big`);
          await sameFile(`${work}/more`, `${here("clone")}/more`);
        });
      }

      await t.step("where there is no sftp-server, that is what is said", async () => {
        // A directory of its own for a root that lacks the program.
        const { code, stderr } = await workspace.run("ssh", ["-s", "web1,sudo", "nonsense"]);
        assertEquals([code, stderr], [1, "holdfast: there is no subsystem nonsense here\n"]);
        const refused = await workspace.run("ssh", ["-s", "web1", "nonsense"]);
        assertEquals([refused.code, refused.stdout], [255, ""]);
        assertMatch(refused.stderr, /^holdfast: .*subsystem.*\r\n$/);
      });

      await t.step("all of it over one login", async () => {
        const { connections } = JSON.parse((await workspace.run("status", ["--json"])).stdout);
        assertEquals(connections.length, 3, JSON.stringify(connections));
        assertEquals(await sshd.logins(), 1);
      });
      await workspace.run("ssh", ["web1,sudo", `rm -rf ${account.home}/web1*`]);
    },
  );
}

async function makeTree(path: string): Promise<void> {
  await Deno.mkdir(`${path}/deep/er`, { recursive: true });
  const big = new Uint8Array(3_000_001);
  for (let at = 0; at < big.length; at += 65536) {
    crypto.getRandomValues(big.subarray(at, at + 65536));
  }
  await Deno.writeFile(`${path}/big`, big, { mode: 0o640 });
  await Deno.writeTextFile(`${path}/empty`, "");
  await Deno.writeTextFile(`${path}/a name 'with' "quotes" $HOME *`, "x");
  for (let i = 0; i < 200; i++) await Deno.writeTextFile(`${path}/deep/er/${i}`, `file ${i}\n`);
}

async function sameTree(a: string, b: string): Promise<void> {
  const { code, stdout } = await new Deno.Command("diff", { args: ["-rq", a, b] }).output();
  assertEquals([code, new TextDecoder().decode(stdout)], [0, ""]);
}

async function sameFile(a: string, b: string): Promise<void> {
  const [one, other] = [await Deno.readFile(a), await Deno.readFile(b)];
  assert(one.length === other.length && one.every((byte, i) => byte === other[i]), `${a} ${b}`);
}
