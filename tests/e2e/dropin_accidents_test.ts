/**
 * rsync and git over the drop-in when it goes wrong in the middle, and when there is much of it: right statuses, nothing
 * left running, no file that is half of itself.
 */
import { type Account, createAccount } from "../support/accounts.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { type DelayProxy, startDelayProxy } from "../support/delay_proxy.ts";
import { Workspace } from "../support/holdfast.ts";
import {
  describeProcesses,
  killProcesses,
  processesCarrying,
  readProcess,
  waitUntilGone,
} from "../support/processes.ts";
import { programLine } from "../support/program.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const CROWD = 50;
/** What rsync ends with when the other side went away: as it wrote, as it read, or with ssh's own status. */
const CUT_OFF = [10, 12, 255];

interface World {
  account: Account;
  workspace: Workspace;
  proxy: DelayProxy;
  line: string;
  run(words: string[]): Promise<{ code: number; said: string }>;
}

async function inWorld(use: (world: World) => Promise<void>): Promise<void> {
  await using sshd = await startSshd();
  await using account = await createAccount({ runtimes: ["deno"] });
  await Deno.chmod(account.home, 0o755);
  await using proxy = startDelayProxy({ port: sshd.port });
  await using workspace = await Workspace.create();
  await workspace.addHost("web1", { user: account.name, port: proxy.port });
  await workspace.trust(sshd, { port: proxy.port });
  const line = `${programLine({ home: workspace.home })} ssh -F "${workspace.config}"`;
  const env = { ...await workspace.env(), GIT_CONFIG_NOSYSTEM: "1", GIT_SSH_COMMAND: line };
  const run = async ([program, ...args]: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command(program, {
      args,
      env,
      clearEnv: true,
      stdin: "null",
    }).output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    return { code, said };
  };
  await use({ account, workspace, proxy, line, run });
}

/** Bytes that no compression and no delta makes less of. */
function noise(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  return bytes;
}

const needs = test.needs("sshd", "namespaces", "rsync");

const ACCIDENTS: Record<string, (world: World) => Promise<void>> = {
  "the connection is cut": ({ proxy }) => proxy.cut(),
  "every drop-in is killed": async ({ workspace }) => {
    const dropins = processesCarrying(`HOLDFAST_DIR=${workspace.dir}`)
      .filter(({ command }) => / -F \S+ .*web1 rsync --server/.test(command));
    assert(dropins.length >= CROWD, describeProcesses(dropins));
    await killProcesses(dropins);
  },
  "the daemon is killed": async ({ workspace }) => {
    const { stdout } = await workspace.run("status", ["--json"]);
    await killProcesses([readProcess(JSON.parse(stdout).pid)!]);
  },
};

for (const [what, happen] of Object.entries(ACCIDENTS)) {
  needs(`dropin: ${CROWD} rsyncs at once, and ${what}`, () =>
    inWorld(async (world) => {
      const { account, workspace, line, run } = world;
      const content = noise(400_000);
      const source = (at: number) => workspace.join(`source${at}`);
      for (let at = 0; at < CROWD; at++) {
        await Deno.mkdir(source(at));
        await Deno.writeFile(`${source(at)}/file`, content.with(0, at));
      }
      const rsync = (at: number, ...options: string[]) =>
        run(["rsync", "-a", "-e", line, ...options, `${source(at)}/`, `web1:to${at}/`]);
      // The connection is there before the crowd comes.
      assertEquals((await workspace.run("exec", ["web1", "true"])).code, 0);
      // Slow enough that all are at it before the first is through.
      const crowd = Array.from({ length: CROWD }, (_, at) => rsync(at, "--bwlimit=20"));
      const servers = () =>
        account.processes().filter(({ command }) => /^rsync --server/.test(command));
      await until(() => servers().length >= 2 * CROWD);
      await happen(world);
      for (const { code, said } of await Promise.all(crowd)) {
        assert(CUT_OFF.includes(code), `${code}: ${said}`);
      }
      assertEquals(describeProcesses(await waitUntilGone(servers)), "");
      // What has its final name is whole.
      for (let at = 0; at < CROWD; at++) {
        const half = await Deno.readFile(`${account.home}/to${at}/file`).catch(() => null);
        assert(half === null || half.length === content.length, `to${at}`);
      }
      const again = await Promise.all(crowd.map((_, at) => rsync(at)));
      assertEquals(again.filter(({ code }) => code !== 0), []);
      for (let at = 0; at < CROWD; at++) {
        const arrived = await Deno.readFile(`${account.home}/to${at}/file`);
        assert(arrived[0] === at && equal(arrived.with(0, content[0]), content), `to${at}`);
      }
    }));
}

needs(
  "dropin: rsync --partial goes on where a cut connection left it",
  () =>
    inWorld(async ({ account, workspace, proxy, line, run }) => {
      const size = 30_000_000;
      const content = noise(size);
      await Deno.writeFile(workspace.join("big"), content);
      const rsync = () =>
        run(["rsync", "-a", "--partial", "-e", line, workspace.join("big"), "web1:big"]);
      assertEquals((await workspace.run("exec", ["web1", "true"])).code, 0);
      const half = proxy.freezeAfter("toServer", size / 2);
      const first = rsync();
      await half;
      await proxy.cut();
      proxy.thaw();
      const { code, said } = await first;
      assert(CUT_OFF.includes(code), `${code}: ${said}`);
      await waitUntilGone(() => account.processes());
      const kept = (await Deno.stat(`${account.home}/big`)).size;
      assert(kept > size / 4 && kept < size, `${kept} bytes were kept`);
      const before = proxy.bytesToServer;
      assertEquals((await rsync()).code, 0);
      assert(equal(await Deno.readFile(`${account.home}/big`), content));
      const sent = proxy.bytesToServer - before;
      assert(sent < size - kept + size / 10, `${sent} bytes were sent, ${kept} were kept`);
    }),
);

test.needs("sshd", "namespaces", "git")(
  "dropin: git with 10,000 objects",
  () =>
    inWorld(async ({ account, workspace, run }) => {
      const git = async (...words: string[]) => {
        const { code, said } = await run(["git", ...words]);
        assertEquals(code, 0, `git ${words.join(" ")}: ${said}`);
        return said;
      };
      const work = workspace.join("work");
      await git("init", "-q", "-b", "main", work);
      await importCommits(work, { from: 0, count: 3334 });
      assertEquals(
        (await workspace.run("ssh", ["web1", "git init -q --bare -b main x.git"])).code,
        0,
      );
      const url = `web1:${account.home}/x.git`;
      await git("-C", work, "push", "-q", url, "main");
      const clone = workspace.join("clone");
      await git("clone", "-q", url, clone);
      assertMatch(await git("-C", clone, "count-objects", "-v"), /^in-pack: 10002$/m);
      await importCommits(work, { from: 3334, count: 10 });
      await git("-C", work, "push", "-q", url, "main");
      await git("-C", clone, "fetch", "-q");
      await git("-C", clone, "merge", "-q", "--ff-only", "origin/main");
      await git("-C", clone, "fsck", "--strict", "--full");
      const head = (await git("-C", work, "rev-parse", "main")).trim();
      assertEquals((await git("-C", clone, "rev-parse", "HEAD")).trim(), head);
      const there = await workspace.run("ssh", [
        "web1",
        "cd x.git && git fsck --strict && git rev-parse main",
      ]);
      assertEquals([there.code, there.stdout.trim()], [0, head]);
    }),
);

/** Each with a blob, a tree and a commit of its own. */
async function importCommits(work: string, { from, count }: { from: number; count: number }) {
  let stream = "";
  for (let at = from; at < from + count; at++) {
    stream += `commit refs/heads/main\ncommitter a <a@b> ${1_700_000_000 + at} +0000\ndata 0\n`;
    if (at === from && at > 0) stream += "from refs/heads/main^0\n";
    stream += `M 644 inline file\ndata <<END\ncontent ${at}\nEND\n`;
  }
  await using child = new Deno.Command("git", {
    args: ["-C", work, "fast-import", "--quiet"],
    stdin: "piped",
  }).spawn();
  await new Blob([stream]).stream().pipeTo(child.stdin);
  assert((await child.status).success);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error("it never came to that");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
