/**
 * What runs on this machine, read from /proc: used by the leak check and by fixtures that must kill
 * exactly the processes they started. Zombies count as gone: who reaps them is not ours to decide.
 */

/** One live process. `started` (clock ticks since boot) tells a reused pid from the old one. */
export interface ProcessInfo {
  readonly pid: number;
  readonly ppid: number;
  readonly uid: number;
  readonly started: number;
  readonly command: string;
}

/** Every live process of the machine. */
export function listProcesses(): ProcessInfo[] {
  const found: ProcessInfo[] = [];
  for (const entry of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    const info = readProcess(Number(entry.name));
    if (info) found.push(info);
  }
  return found;
}

/** The process with this id, or undefined when it is gone or a zombie. */
export function readProcess(pid: number): ProcessInfo | undefined {
  const stat = readProc(pid, "stat");
  if (!stat) return undefined;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields[0] === "Z" || fields[0] === "X") return undefined;
  const uid = Number(/^Uid:\s+(\d+)/m.exec(readProc(pid, "status"))?.[1] ?? -1);
  const command = readProc(pid, "cmdline").replaceAll("\0", " ").trim() ||
    stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
  return { pid, ppid: Number(fields[1]), uid, started: Number(fields[19]), command };
}

/** Live descendants of a process, itself excluded. */
export function descendantsOf(pid: number, processes = listProcesses()): ProcessInfo[] {
  const family = new Set([pid]);
  let size: number;
  do { // /proc is in no useful order, so repeat until nobody new joins
    size = family.size;
    for (const info of processes) if (family.has(info.ppid)) family.add(info.pid);
  } while (family.size > size);
  family.delete(pid);
  return processes.filter((info) => family.has(info.pid));
}

/** Live processes, ourselves excluded, whose command line or initial environment contains `text`. */
export function processesCarrying(text: string, processes = listProcesses()): ProcessInfo[] {
  return processes.filter((info) =>
    info.pid !== Deno.pid &&
    (info.command.includes(text) || readProc(info.pid, "environ").includes(text))
  );
}

/**
 * Waits until `remaining` finds no process and returns the last finding, which is empty unless the
 * deadline (in ms) passed. The kernel announces no foreign process's end, hence the polling.
 */
export async function waitUntilGone(
  remaining: () => ProcessInfo[],
  { deadline = 5000 }: { deadline?: number } = {},
): Promise<ProcessInfo[]> {
  const end = performance.now() + deadline;
  for (let pause = 2;; pause = Math.min(pause * 2, 50)) {
    const left = remaining();
    if (left.length === 0 || performance.now() >= end) return left;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Kills these very processes (not later ones of the same pid) with SIGKILL and waits for their end. */
export async function killProcesses(processes: ProcessInfo[]): Promise<void> {
  const alive = () => processes.filter((info) => readProcess(info.pid)?.started === info.started);
  for (const { pid } of alive()) {
    try {
      Deno.kill(pid, "SIGKILL");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  const left = await waitUntilGone(alive);
  if (left.length > 0) throw new Error(`Cannot kill ${describeProcesses(left)}: still running`);
}

/** What a process has in memory now, in bytes; 0 when it is gone. */
export function residentMemory(pid: number): number {
  return memoryField(pid, "VmRSS");
}

/** The most that a process ever had in memory, in bytes; 0 when it is gone. */
export function peakMemory(pid: number): number {
  return memoryField(pid, "VmHWM");
}

function memoryField(pid: number, name: "VmRSS" | "VmHWM"): number {
  const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(readProc(pid, "status"))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

/** Bytes that a process has written so far; 0 when it is gone. */
export function bytesWritten(pid: number): number {
  return Number(/^wchar: (\d+)$/m.exec(readProc(pid, "io"))?.[1] ?? 0);
}

/** `123 (sleep 60), 124 (cat)`, for messages. */
export function describeProcesses(processes: ProcessInfo[]): string {
  return processes.map(({ pid, command }) => `${pid} (${command.slice(0, 200)})`).join(", ");
}

function readProc(pid: number, file: string): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/${file}`);
  } catch {
    return ""; // gone meanwhile, or another user's
  }
}
