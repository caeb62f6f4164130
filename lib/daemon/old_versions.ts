/**
 * A built file's older versions, unpacked beside the one that runs: see `scripts/build/head.sh`. The daemon clears them
 * away when it starts.
 */

/** Versions that stay, our own among them, by when a daemon of theirs last started. */
const KEPT = 2;
/** Milliseconds between taking a version out of use and removing it: one that was just being started is seen by then. */
const GRACE = 600_000;
/** How an unpacked version is called. */
const HASH = /^[0-9a-f]{64}$/;
/** Of what is being removed. */
const GONE = "gone.";

/**
 * Notes that the version in `own` is used, and clears away others beside it.
 *
 * - In two steps, by two daemons: first its word `ready` goes, without which nothing starts from it; and when that is
 *   {@linkcode GRACE} ago and it still is not there, the rest. Who has read the word before it went runs by then.
 * - None that a process runs from, and none that is no unpacked version.
 * - Does nothing where it cannot be seen what runs.
 */
export async function removeOldVersions(
  own: string,
  { now = Date.now() }: { now?: number } = {},
): Promise<void> {
  const base = own.slice(0, own.lastIndexOf("/"));
  await Deno.utime(`${own}/ready`, new Date(now), new Date(now));
  const running = await runningPrograms();
  if (running === null) return;
  const used: { path: string; time: number }[] = [];
  for await (const { name, isDirectory } of Deno.readDir(base)) {
    const path = `${base}/${name}`;
    if (name.startsWith(GONE)) await Deno.remove(path, { recursive: true });
    if (!isDirectory || !HASH.test(name)) continue;
    const ready = await modified(`${path}/ready`);
    if (ready !== null) used.push({ path, time: path === own ? Infinity : ready });
    else if (!isRunning(path, running) && now - (await modified(path) ?? now) > GRACE) {
      // Out of the way at once: who unpacks it anew is not to find half of it.
      await Deno.rename(path, `${base}/${GONE}${name}`);
      await Deno.remove(`${base}/${GONE}${name}`, { recursive: true });
    }
  }
  used.sort((a, b) => b.time - a.time);
  for (const { path } of used.slice(KEPT)) {
    if (!isRunning(path, running)) await Deno.remove(`${path}/ready`);
  }
}

/** The executables of all processes that we may see; null where there is no /proc. */
async function runningPrograms(): Promise<string[] | null> {
  const programs: string[] = [];
  try {
    for await (const { name } of Deno.readDir("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const program = await Deno.readLink(`/proc/${name}/exe`).catch(() => null);
      if (program !== null) programs.push(program);
    }
  } catch {
    return null;
  }
  return programs.length > 0 ? programs : null;
}

function isRunning(path: string, running: string[]): boolean {
  return running.some((program) => program.startsWith(`${path}/`));
}

async function modified(path: string): Promise<number | null> {
  return await Deno.lstat(path).then(({ mtime }) => mtime?.getTime() ?? null, () => null);
}
