/**
 * The core as one compressed script, built from `lib/core/context_main.ts`; the root of the tree sends it to
 * its children. Built once per process; takes some 10 ms with esbuild in Deno's cache.
 */
import { hex } from "../core/greeting.ts";
import { HoldfastError } from "../core/errors.ts";

/** What a parent sends to a first stage. */
export interface CoreSource {
  /** Raw deflate. */
  compressed: Uint8Array;
  /** sha256 of `compressed`, hex. */
  hash: string;
}

let built: Promise<CoreSource> | undefined;

/** The core of this version. Rejects with `internal` when it cannot be built. */
export function coreSource(): Promise<CoreSource> {
  return built ??= build();
}

async function build(): Promise<CoreSource> {
  const bundle = await Deno.bundle({
    entrypoints: [new URL("../core/context_main.ts", import.meta.url).pathname],
    platform: "browser",
    format: "iife",
    minify: true,
    write: false,
  });
  const script = bundle.outputFiles?.[0]?.contents;
  if (!bundle.success || !script) {
    const why = bundle.errors.map(({ text }) => text).join("; ");
    throw new HoldfastError("internal", `Cannot build the core: ${why}`);
  }
  const { deflateRawSync, constants } = await import("node:zlib");
  const compressed = new Uint8Array(
    deflateRawSync(script, { level: constants.Z_BEST_COMPRESSION, memLevel: 9 }),
  );
  const digest = await crypto.subtle.digest("SHA-256", compressed);
  return { compressed, hash: hex(new Uint8Array(digest)) };
}
