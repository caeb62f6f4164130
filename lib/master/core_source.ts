/**
 * The core as one compressed script, built from `lib/core/context_main.ts`; the root of the tree sends it to
 * its children. Built once per process; takes some 10 ms with esbuild in Deno's cache.
 */
import type { CoreToSend } from "../core/context.ts";
import { hex } from "../core/greeting.ts";
import { bundleScript } from "./bundle_script.ts";

let built: Promise<CoreToSend> | undefined;

/** The core of this version. Rejects with `internal` when it cannot be built. */
export function coreSource(): Promise<CoreToSend> {
  return built ??= build();
}

async function build(): Promise<CoreToSend> {
  const entry = new URL("../core/context_main.ts", import.meta.url);
  const compressed = await bundleScript(entry, { format: "iife" });
  const digest = await crypto.subtle.digest("SHA-256", compressed as BufferSource);
  return { compressed, hash: hex(new Uint8Array(digest)) };
}
