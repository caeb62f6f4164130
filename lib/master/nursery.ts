/**
 * Has the engine collect young garbage while somebody reads slowly. Used by `ssh_streams.ts`; does nothing in a
 * process without `--expose-gc`, which `client/start_daemon.ts` gives to the daemon.
 */

/** Bytes of output after which the time is taken. */
const STEP = 2 ** 20;
/** Milliseconds for a step that are no slow reader's yet. */
const QUICK = 50;

let since = 0;
let last = 0;

/**
 * Tells that `bytes` of a stream's output came. The engine by itself collects when its own small objects are many,
 * however large the buffers are that they stand for: at a slow reader's pace tens of megabytes pile up till then. At
 * full speed that comes soon enough.
 */
export function outputCame(bytes: number): void {
  since += bytes;
  if (since < STEP) return;
  const now = performance.now();
  const isSlow = now - last >= QUICK;
  since = 0;
  last = now;
  if (isSlow) (globalThis as { gc?: (options: { type: "minor" }) => void }).gc?.({ type: "minor" });
}
