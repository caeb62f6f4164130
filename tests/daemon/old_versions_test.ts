/** What becomes of the versions of the built file that were unpacked before. */

import { removeOldVersions } from "../../lib/daemon/old_versions.ts";
import { assertEquals } from "../support/assert.ts";
import { User } from "../support/built_file.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { findExecutable } from "../support/tools.ts";

const linux = test.needs("linux");
const builds = test.needs("linux", "gzip", "tar", "sha256sum");

const DAY = 86_400_000;
const NOW = 1_700_000_000_000;
const OWN = version(0);

function version(number: number): string {
  return String(number).padStart(64, "0");
}

/** An unpacked version whose daemon last started that many days ago; null: it is out of use since then. */
async function unpack(base: string, number: number, age: number, { ready = true } = {}) {
  const dir = `${base}/${version(number)}`;
  await Deno.mkdir(dir, { recursive: true });
  await Deno.writeTextFile(`${dir}/deno`, "");
  const then = new Date(NOW - age);
  if (ready) {
    await Deno.writeTextFile(`${dir}/ready`, "");
    await Deno.utime(`${dir}/ready`, then, then);
  }
  await Deno.utime(dir, then, then);
  return dir;
}

/** Names there, with a + for those that can be started. */
function listed(base: string): string[] {
  return [...Deno.readDirSync(base)].map(({ name }) => {
    const isReady = [...Deno.readDirSync(`${base}/${name}`)].some(({ name }) => name === "ready");
    return `${isReady ? "+" : ""}${name.replace(/^0{63}/, "")}`;
  }).sort();
}

linux("old versions: the two last used stay; others first cannot be started, then go", async () => {
  await using dir = await tempDir();
  const base = dir.path;
  // Our own was used long ago, too: that it runs now is what counts.
  for (const [number, days] of [[0, 90], [1, 30], [2, 3], [3, 60]]) {
    await unpack(base, number, days * DAY);
  }
  await removeOldVersions(`${base}/${OWN}`, { now: NOW });
  assertEquals(listed(base), ["+0", "+2", "1", "3"]);
  // Their directories changed just now.
  await removeOldVersions(`${base}/${OWN}`, { now: Date.now() });
  assertEquals(listed(base), ["+0", "+2", "1", "3"]);
  await removeOldVersions(`${base}/${OWN}`, { now: Date.now() + 601_000 });
  assertEquals(listed(base), ["+0", "+2"]);
});

linux("old versions: one that is started meanwhile is unpacked again, and stays", async () => {
  await using dir = await tempDir();
  const base = dir.path;
  for (const number of [0, 1, 2]) await unpack(base, number, number * DAY);
  await removeOldVersions(`${base}/${OWN}`, { now: NOW });
  assertEquals(listed(base), ["+0", "+1", "2"]);
  await Deno.writeTextFile(`${base}/${version(2)}/ready`, "");
  await removeOldVersions(`${base}/${OWN}`, { now: Date.now() + 601_000 });
  // Now it is one of the two last used.
  assertEquals(listed(base), ["+0", "+2", "1"]);
});

linux("old versions: those that run stay, ready or not", async () => {
  await using dir = await tempDir();
  const base = dir.path;
  const programs: Deno.ChildProcess[] = [];
  for (const [number, ready] of [[3, true], [4, false]] as const) {
    const path = await unpack(base, number, number * DAY, { ready });
    await Deno.copyFile(findExecutable("sleep")!, `${path}/deno`);
    await Deno.chmod(`${path}/deno`, 0o700);
    programs.push(new Deno.Command(`${path}/deno`, { args: ["60"] }).spawn());
    await Deno.utime(path, 0, 0);
  }
  for (const number of [0, 1, 2]) await unpack(base, number, number * DAY);
  try {
    await removeOldVersions(`${base}/${OWN}`, { now: NOW });
    assertEquals(listed(base), ["+0", "+1", "+3", "2", "4"]);
  } finally {
    for (const program of programs) program.kill("SIGKILL");
    await Promise.all(programs.map(({ status }) => status));
  }
});

linux(
  "old versions: what is no unpacked version is left alone, what was being removed goes",
  async () => {
    await using dir = await tempDir();
    const base = dir.path;
    await unpack(base, 0, 0);
    for (const name of ["mine", `gone.${version(7)}`, "abc123"]) {
      await Deno.mkdir(`${base}/${name}`);
      await Deno.utime(`${base}/${name}`, 0, 0);
    }
    await removeOldVersions(`${base}/${OWN}`, { now: NOW });
    assertEquals(listed(base), ["+0", "abc123", "mine"]);
  },
);

builds("old versions: a daemon clears them away when it starts", async () => {
  await using user = await User.create();
  const base = `${user.cache}/holdfast`;
  for (const [number, days] of [[1, 400], [2, 300]]) await unpack(base, number, days * DAY);
  await unpack(base, 3, 200 * DAY, { ready: false });
  assertEquals((await user.run(["exec", "local", "true"])).code, 0);
  assertEquals((await user.run(["stop"])).code, 0);
  const left = listed(base).filter((name) => !/^\+[0-9a-f]{64}$/.test(name));
  assertEquals(left, ["+2", "1"]);
});
