/**
 * The minifier takes a variable away that is used once, and with it the `using` that should have closed it: a client of
 * the built file kept the start lock for as long as its command ran. Such a thing is closed by hand.
 */

import { assertEquals } from "../support/assert.ts";
import { test } from "../support/test.ts";

const LIB = new URL("../../lib/", import.meta.url).pathname;

async function countUsing(entry: string, { minify }: { minify: boolean }): Promise<number> {
  const external = ["node:*", "ssh2", "ssh-config", "smol-toml", "xxhash-wasm"];
  const { outputFiles, errors } = await Deno.bundle({
    entrypoints: [entry],
    external,
    minify,
    write: false,
    platform: "deno",
    format: "esm",
  });
  assertEquals(errors, []);
  const script = new TextDecoder().decode(outputFiles![0].contents!);
  return [...script.matchAll(/\busing \w+ ?=/g)].length;
}

test("minified: whatever is declared with `using` is still closed", async () => {
  const entries = [`${LIB}daemon/run_daemon.ts`];
  for await (const { name } of Deno.readDir(`${LIB}cli`)) {
    if (name.endsWith(".ts")) entries.push(`${LIB}cli/${name}`);
  }
  for (const entry of entries) {
    const [written, left] = await Promise.all([
      countUsing(entry, { minify: false }),
      countUsing(entry, { minify: true }),
    ]);
    assertEquals([entry, left], [entry, written]);
  }
});
