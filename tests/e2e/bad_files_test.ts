/**
 * What cannot be read or written gets a clear error and status 255, on every kind of target, and nothing is lost: the
 * old file stays and no litter. Full disks are small file systems of memory.
 */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { type Outcome, Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";
import type { Runtime } from "../support/tools.ts";

const SIZE = 2 << 20;

const DIRECT = ["none", "none without SFTP", "none behind sudo"] as const;

for (const runtime of ["deno", "node", "bun", ...DIRECT] as const) {
  const direct = DIRECT.find((kind) => kind === runtime);
  const runtimes = direct ? [] : [runtime as Runtime];
  const what = runtime.replace("none", "no runtime");
  test.needs("sshd", "namespaces", "mount", ...direct ? ["sudo"] : runtimes)(
    `bad files: are told and nothing is lost, with a host with ${what}`,
    async (t) => {
      await using account = await createAccount({ runtimes, sudo: "nopasswd" });
      await using workspace = await Workspace.create();
      await account.write("full/file", "old");
      await account.write("closed/file", "old");
      await using _full = await mountSmall(`${account.home}/full`);
      await account.write("full/file", "old");
      await Deno.chown(`${account.home}/closed`, 0, 0);
      // Behind the mount: its sessions have a view of their own.
      await using sshd = await startSshd({ sftp: direct !== "none without SFTP" });
      // To the same account, which may no more than before.
      const target = direct === "none behind sudo" ? `target,sudo=${account.name}` : "target";
      await workspace.addHost("target", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      for (let i = 0; i < 2; i++) await workspace.run("exec", [target, "true"]);
      const big = workspace.join("big");
      await Deno.writeFile(big, new Uint8Array(2 * SIZE).map((_, at) => at * 7));
      const put = (...args: string[]) => workspace.run("put", [target, ...args]);
      const fetch = (...args: string[]) => workspace.run("fetch", [target, ...args]);
      const intact = async (dir: string) => {
        assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["file"]);
        assertEquals(await Deno.readTextFile(`${dir}/file`), "old");
      };

      await t.step("a missing local file", async () => {
        const missing = workspace.join("missing");
        assertClear(await put(missing, "copy"), new RegExp(`"${missing}": no such file`));
        assertClear(await put(big, missing, "copy"), /copy/);
        assert(![...Deno.readDirSync(account.home)].some(({ name }) => name === "copy"));
      });
      await t.step("a missing remote file, and a remote directory without its parent", async () => {
        assertClear(await fetch("missing", workspace.join("copy")), /"missing": no such file/);
        assertClear(await put(big, "no/such/copy"), /"no\/such\/copy": no such file/);
      });
      await t.step("an unwritable remote directory", async () => {
        for (const name of ["closed/file", "closed/new"]) {
          assertClear(await put(big, name), new RegExp(`"${name}": permission denied`));
        }
        await intact(`${account.home}/closed`);
      });
      await t.step("an unreadable remote file", async () => {
        await Deno.chmod(`${account.home}/closed/file`, 0o600);
        await Deno.chown(`${account.home}/closed/file`, 0, 0);
        assertClear(
          await fetch("closed/file", workspace.join("copy")),
          /"closed\/file": permission/,
        );
      });
      await t.step("a full remote disk", async () => {
        for (const name of ["full/file", "full/new"]) {
          assertClear(await put(big, name), new RegExp(`"${name}": no space left`));
          await intact(`${account.home}/full`);
        }
        const stdin = `PUT: ${big} full/file\nEXEC: echo not reached\n`;
        const relay = await workspace.run("client", [target], { stdin });
        assertClear(relay, /no space left/);
        await intact(`${account.home}/full`);
      });
      await t.step("a full local disk", async () => {
        await Deno.mkdir(workspace.join("small"));
        await using _small = await mountSmall(workspace.join("small"));
        await Deno.writeTextFile(workspace.join("small/file"), "old");
        await Deno.copyFile(big, `${account.home}/big`);
        assertClear(await fetch("big", workspace.join("small/file")), /no space left/);
        await intact(workspace.join("small"));
      });
      await t.step("the connection has borne all that", async () => {
        assertEquals((await workspace.run("exec", [target, "echo on"])).stdout, "on\n");
        assertEquals(await sshd.logins(), 1);
      });
    },
  );
}

function assertClear({ code, stdout, stderr }: Outcome, expected: RegExp): void {
  assertMatch(stderr, expected);
  assertEquals([code, stdout], [255, ""], stderr);
  assertMatch(stderr, /^holdfast: /);
  assert(stderr.trimEnd().split("\n").length <= 2 && !/^\s+at /m.test(stderr), stderr);
}

/** A file system of {@linkcode SIZE} bytes on a directory, until disposal. */
async function mountSmall(path: string): Promise<AsyncDisposable> {
  const run = async (program: string, ...args: string[]) =>
    assert((await new Deno.Command(program, { args }).output()).success, program);
  await run("mount", "-t", "tmpfs", "-o", `size=${SIZE},mode=0777`, "tmpfs", path);
  return { [Symbol.asyncDispose]: () => run("umount", "-l", path) };
}
