/** Puts a built file into a context below: by a shell there, so that a cut transfer goes on where it stopped. */
import type { ProcessHost } from "../core/host.ts";
import type { Router } from "../core/router.ts";
import type { Payload } from "./payload.ts";
import { keepFile } from "./provision.ts";
import { withScript } from "./script_process.ts";
import { SHELL_LOOP } from "./shell_loop.ts";

/** Resolves with its path there. */
export function giveFile(
  below: { router: Router; to: number },
  source: { host: ProcessHost; file: Payload },
): Promise<string> {
  return withScript({ ...below, script: SHELL_LOOP }, (streams) => keepFile(streams, source));
}
