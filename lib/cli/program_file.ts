/** The built file as a file: which one runs, and whether it is whole. For `install.ts`. */

import { HoldfastError } from "../core/errors.ts";
import { hex } from "../core/greeting.ts";
import { buildInfo, launchedFile } from "../rendezvous/build_info.ts";

/** How a built file begins, see `scripts/build/head.sh`. */
const BEGINNING = "#!/bin/sh\n# holdfast ";
/** The head is shorter than this. */
const HEAD_BYTES = 32 * 1024;

/**
 * The real path of the built file that this process runs.
 *
 * @throws {HoldfastError} `usage` when it runs from a source tree
 */
export async function ownProgram(): Promise<string> {
  const path = launchedFile();
  if (path !== undefined) return await Deno.realPath(path);
  throw new HoldfastError(
    "usage",
    "Cannot install: this is the source tree; run deno task build, then dist/holdfast install",
  );
}

/** Whether there is a built file of any version, or a link to one. */
export async function isProgram(path: string): Promise<boolean> {
  try {
    using file = await Deno.open(path);
    const head = new Uint8Array(BEGINNING.length);
    await file.read(head);
    return new TextDecoder().decode(head) === BEGINNING;
  } catch {
    return false;
  }
}

/**
 * The content of a built file.
 *
 * @throws {HoldfastError} `corrupt` when its archive is not what its head says
 */
export async function readProgram(path: string): Promise<Uint8Array> {
  const bytes = await Deno.readFile(path);
  if (buildInfo()?.compiled) return bytes; // It carries no checksum.
  const head = new TextDecoder().decode(bytes.subarray(0, HEAD_BYTES));
  const [, hash] = /^hash=([0-9a-f]{64})$/m.exec(head) ?? [];
  const [, start] = /^ *tail -c \+(\d+) /m.exec(head) ?? [];
  if (hash && start && await sha256(bytes.subarray(Number(start) - 1)) === hash) return bytes;
  throw new HoldfastError(
    "corrupt",
    `Cannot copy "${path}": it is damaged; copy or build it again`,
  );
}

async function sha256(bytes: Uint8Array): Promise<string> {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource)));
}
