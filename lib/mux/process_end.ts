/**
 * Processes that are not ours: when they end (pidfd), who started them, whether a terminal's input is theirs. For the
 * daemon's `held_exec.ts` and for `descriptor.ts`.
 */
import { libc, SYS_PIDFD_OPEN } from "./libc.ts";
import type { Readiness } from "./readiness.ts";

export interface Watch {
  /** Resolves when it has ended, or is not watched any more. */
  ended: Promise<void>;
  stop(): void;
}

/** Null where there is no such process any more, or it cannot be watched. */
export function watchProcess(pid: number, readiness: Readiness): Watch | null {
  const descriptor = libc().syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n);
  if (descriptor < 0) return null;
  let isOpen = true;
  const stop = () => {
    if (!isOpen) return;
    isOpen = false;
    readiness.forget(descriptor);
    libc().close(descriptor);
  };
  return { ended: readiness.wait(descriptor, "read").then(stop), stop };
}

/** Who started a process; null when it is gone. */
export function parentOf(pid: number): number | null {
  return numbersOf(pid)?.[1] ?? null;
}

/**
 * Whether a process may read the terminal with that device number: it is not the one that it was started from, or what is
 * typed there is for its process group. As if it read itself: in the background, or stopped, it gets nothing.
 */
export function isInFront(pid: number, device: number | null): boolean {
  const numbers = numbersOf(pid);
  if (!numbers) return false;
  const [, , group, , terminal, foreground] = numbers;
  return terminal !== device || foreground < 0 || group === foreground;
}

/** What Linux tells of a process (proc_pid_stat) from its state on; null when it is gone. */
function numbersOf(pid: number): number[] | null {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ").map(Number);
  } catch {
    return null;
  }
}
