/** What the tests of detached contexts call: it goes on when its caller is gone. */
import type { Sender } from "../../../lib/mod.ts";

/** Says where it runs, and ends when something is written to the FIFO `gate`, by writing to the file `done`. */
export async function last(
  { gate, done, started }: { gate: string; done: string; started: Sender<number> },
): Promise<string> {
  const { pid } = await import("node:process");
  const { execFile } = await import("node:child_process");
  await started.send(pid);
  await new Promise<void>((resolve) =>
    execFile("/bin/sh", ["-c", 'read line <"$0"', gate], () => resolve())
  );
  const { writeFile } = await import("node:fs/promises");
  await writeFile(done, `${pid}`);
  return "nobody hears this";
}
