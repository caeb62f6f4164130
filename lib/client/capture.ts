/**
 * Runs a process and collects what it writes, within a bound, for those who answer in one piece: `exec --json`,
 * the relay's `--json` and the length frames on the daemon's socket.
 */
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { ByteSource, ExitStatus } from "../core/host.ts";
import type { Router } from "../core/router.ts";
import { type RemoteProcess, type RemoteProcessOptions, startProcess } from "./remote_process.ts";

/** Bytes of stdout and stderr together that are held at most, unless told otherwise. */
export const CAPTURE_LIMIT: number = 64 * 1024 * 1024;

export interface CaptureOptions extends RemoteProcessOptions {
  /** Bytes of stdout and stderr together. Default {@linkcode CAPTURE_LIMIT}. */
  limit?: number;
  /** Gets the process as soon as it was asked for: to feed its input, to send it signals. */
  onStart?: (process: RemoteProcess) => void;
}

/** How it ended, with all that it wrote; or why it was lost, with what had come until then. */
export type Captured =
  & { stdout: Uint8Array; stderr: Uint8Array }
  & ({ status: ExitStatus; error: null } | { status: null; error: HoldfastError });

/** Never rejects. Output over the limit ends the process, with `limit` as the error. */
export async function capture(
  router: Router,
  context: number,
  options: CaptureOptions,
): Promise<Captured> {
  const { limit = CAPTURE_LIMIT, onStart, signal, ...rest } = options;
  const overflow = new AbortController();
  const signals = signal ? [signal, overflow.signal] : [overflow.signal];
  const process = startProcess(router, context, { ...rest, signal: AbortSignal.any(signals) });
  onStart?.(process);
  let left = limit;
  const take = (size: number) => {
    if ((left -= size) >= 0) return true;
    overflow.abort(tooMuch(limit));
    return false;
  };
  const [ended, stdout, stderr] = await Promise.all([
    process.exit.then((status) => ({ status, error: null }), lost),
    collect(process.stdout, take),
    collect(process.stderr, take),
  ]);
  const reason = signals.find(({ aborted }) => aborted)?.reason;
  const end = reason === undefined ? ended : lost(reason);
  return { stdout, stderr, ...end };
}

function lost(error: unknown): { status: null; error: HoldfastError } {
  return { status: null, error: toHoldfastError(error) };
}

function tooMuch(limit: number): HoldfastError {
  const size = limit >= 1024 * 1024 ? `${Math.floor(limit / 1024 / 1024)} MiB` : `${limit} bytes`;
  return new HoldfastError(
    "limit",
    `Cannot collect the output: it is more than ${size}; run the command with holdfast exec, ` +
      "which passes output on as it comes",
  );
}

/** All of a stream, as far as `take` allows; that it broke is for the process's exit to tell. */
async function collect(
  source: ByteSource,
  take: (size: number) => boolean,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  try {
    for (let bytes = await source.read(); bytes !== null; bytes = await source.read()) {
      if (!take(bytes.length)) break;
      chunks.push(bytes);
    }
  } catch {
    // What came before it broke is kept.
  }
  if (chunks.length === 1) return chunks[0];
  return await new Blob(chunks as BlobPart[]).bytes();
}
