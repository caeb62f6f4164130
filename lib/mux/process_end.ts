/** Waits for processes that are not ours to end (pidfd). For `mux_sockets.ts`. */
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
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return null;
  }
}
