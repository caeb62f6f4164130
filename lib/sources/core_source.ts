/**
 * The core as one compressed script, built from `lib/core/context_main.ts`; the root of the tree sends it to
 * its children. In a built file it is there; else it is built once per process, in some 10 ms.
 */
import type { CoreToSend } from "../core/context.ts";
import { hex } from "../core/greeting.ts";
import { builtScript } from "../rendezvous/build_info.ts";
import { bundleScript } from "./bundle_script.ts";

let built: Promise<CoreToSend> | undefined;

/** The core of this version. Rejects with `internal` when it cannot be built. */
export function coreSource(): Promise<CoreToSend> {
  return built ??= build();
}

async function build(): Promise<CoreToSend> {
  const entry = new URL("../core/context_main.ts", import.meta.url);
  const bytes = builtScript("core") ?? await bundleScript(entry, { format: "iife" });
  const script = new Blob([bytes as BlobPart]).stream().pipeThrough(
    new DecompressionStream("deflate-raw"),
  );
  const digest = await crypto.subtle.digest("SHA-256", await new Response(script).arrayBuffer());
  return { bytes, isCompressed: true, hash: hex(new Uint8Array(digest)) };
}
