/**
 * Finds what a test leaves behind: processes that descend from this one or that carry its temporary
 * base in their environment or command line (a detached daemon does), and temporary directories.
 * Correct where one process runs one test at a time, as `scripts/test.ts` arranges.
 */

import {
  descendantsOf,
  describeProcesses,
  killProcesses,
  listProcesses,
  processesCarrying,
  type ProcessInfo,
  waitUntilGone,
} from "./processes.ts";
import { liveTempDirs, tempBase } from "./temp.ts";

/** What the check may be told. */
export interface LeakCheckOptions {
  /** How long, in ms, what is already on its way out may take. Default 3000. */
  grace?: number;
}

/**
 * Runs `fn` and throws if something remains that was not there before; leaked processes are killed.
 * When `fn` itself throws, that is thrown, and leaks are cleared away silently.
 */
export async function leakCheck<T>(
  name: string,
  fn: () => T | Promise<T>,
  { grace = 3000 }: LeakCheckOptions = {},
): Promise<T> {
  const processesBefore = new Set(ownProcesses().map(identify));
  const dirsBefore = new Set(liveTempDirs());
  const leakedProcesses = () =>
    ownProcesses().filter((info) => !processesBefore.has(identify(info)));
  let result: T;
  try {
    result = await fn();
  } catch (error) {
    await killProcesses(await waitUntilGone(leakedProcesses, { deadline: grace }));
    throw error;
  }
  const processes = await waitUntilGone(leakedProcesses, { deadline: grace });
  await killProcesses(processes);
  const dirs = liveTempDirs().filter((dir) => !dirsBefore.has(dir));
  const leaks = [
    ...processes.length > 0 ? [`processes ${describeProcesses(processes)}`] : [],
    ...dirs.length > 0 ? [`directories ${dirs.join(", ")}`] : [],
  ];
  if (leaks.length > 0) throw new Error(`Test "${name}" left ${leaks.join("; ")}`);
  return result;
}

function ownProcesses(): ProcessInfo[] {
  if (Deno.build.os !== "linux") return [];
  const processes = listProcesses();
  const own = descendantsOf(Deno.pid, processes);
  const known = new Set(own.map(identify));
  const carrying = processesCarrying(tempBase(), processes);
  return [...own, ...carrying.filter((info) => !known.has(identify(info)))];
}

function identify(info: ProcessInfo): string {
  return `${info.pid}:${info.started}`;
}
