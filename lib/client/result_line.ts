/** The JSON line that answers one command or action, for `exec --json` and the relay's `--json`. */
import type { HoldfastError } from "../core/errors.ts";
import { writeAll } from "../core/processes_deno.ts";
import type { Captured } from "./capture.ts";
import { statusOf } from "./remote_process.ts";

/** One answered action; a transfer has no output. */
export type Result = Captured | { status: null; error: HoldfastError | null };

/** 2 for the user's words, 255 for all that went wrong between here and there, as `main.ts` has it. */
export function statusOfError(error: HoldfastError): number {
  return error.kind === "usage" ? 2 : 255;
}

/** The exit status that a result means. */
export function resultStatus({ status, error }: Result): number {
  if (error) return statusOfError(error);
  return status ? statusOf(status) : 0;
}

/**
 * `{rc, stdout, stderr, signal, error}` with a newline. `signal` is the name of the signal that killed the
 * command, or null; `error` is null or `{kind, description}`. Output that is not UTF-8 is also given exactly, as
 * `stdout_base64` and `stderr_base64`.
 */
export function resultLine(result: Result): string {
  const { stdout, stderr } = "stdout" in result ? result : { stdout: NOTHING, stderr: NOTHING };
  return JSON.stringify({
    rc: resultStatus(result),
    ...textFields("stdout", stdout),
    ...textFields("stderr", stderr),
    signal: result.status?.signal ?? null,
    error: result.error?.toWire() ?? null,
  }) + "\n";
}

/** Prints it. Rejects with `Deno.errors.BrokenPipe` when our reader is gone. */
export async function printResult(result: Result): Promise<void> {
  await writeAll(Deno.stdout, new TextEncoder().encode(resultLine(result)));
}

const NOTHING = new Uint8Array(0);

function textFields(name: string, bytes: Uint8Array): Record<string, string> {
  try {
    return { [name]: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    return { [name]: text, [`${name}_base64`]: bytes.toBase64() };
  }
}
