/** Compiles a file and what it imports to one compressed script: the core, and modules that are shipped. */
import { HoldfastError } from "../core/errors.ts";

export interface BundleScriptOptions {
  /** `iife` runs by itself; `cjs` sets `module.exports` and requires what is external. */
  format: "iife" | "cjs";
  /** Import specifiers that stay outside, as they are written. */
  external?: string[];
}

/** Raw deflate of the script. Rejects with `internal` when it does not compile. */
export async function bundleScript(
  entry: URL,
  { format, external = [] }: BundleScriptOptions,
): Promise<Uint8Array> {
  const bundle = await Deno.bundle({
    entrypoints: [decodeURIComponent(entry.pathname)],
    platform: "browser",
    format,
    external,
    minify: true,
    write: false,
  });
  const script = bundle.outputFiles?.[0]?.contents;
  if (!bundle.success || !script) {
    const why = bundle.errors.map(({ text }) => text).join("; ");
    throw new HoldfastError("internal", `Cannot compile ${entry.pathname}: ${why}`);
  }
  return await compress(script);
}

/** Raw deflate, as small as it gets. */
export async function compress(script: Uint8Array): Promise<Uint8Array> {
  const { deflateRawSync, constants } = await import("node:zlib");
  return new Uint8Array(
    deflateRawSync(script, { level: constants.Z_BEST_COMPRESSION, memLevel: 9 }),
  );
}
