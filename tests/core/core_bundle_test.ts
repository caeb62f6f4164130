/** What starting a context costs in bytes, and what the first stage may be made of. */

import { coreSource } from "../../lib/sources/core_source.ts";
import { ownModule } from "../../lib/sources/own_modules.ts";
import { firstStage } from "../../lib/parent/first_stage.ts";
import { hex } from "../../lib/core/greeting.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { test } from "../support/test.ts";

/** Bytes of command line. */
const FIRST_STAGE_BUDGET = 1024;
/** Bytes of the compressed core: with the command line, greeting and first call it stays under 12 KiB. */
const CORE_BUDGET = 11 * 1024;
/** Bytes of the core and of what opens hops, together. */
const PARENT_BUDGET = 20 * 1024;

test("first stage: at most 1 KiB, whatever the size of the core", () => {
  assert(firstStage(99_999_999).length <= FIRST_STAGE_BUDGET);
});

test("first stage: nothing in it that a login shell's single quotes do not keep", () => {
  const words = firstStage(12345).split("'");
  // exec sh -c '...' '...'
  assertEquals([words.length, words[0], words[2], words[4]], [5, "exec sh -c ", " ", ""]);
  for (const text of words) assert(!/[\\!\n\r\0]|[^\x20-\x7e]/.test(text), text);
});

test("core: within its budget", async () => {
  const { compressed } = await coreSource();
  assert(compressed.length <= CORE_BUDGET, `${compressed.length} bytes of ${CORE_BUDGET}`);
});

test("core: with what opens hops, within their budget", async () => {
  const { compressed } = await coreSource();
  const { source } = await ownModule("hops");
  const size = compressed.length + source.length;
  assert(size <= PARENT_BUDGET, `${size} bytes of ${PARENT_BUDGET}`);
});

test("core: its hash is that of the compressed bytes", async () => {
  const { compressed, hash } = await coreSource();
  const digest = await crypto.subtle.digest("SHA-256", compressed as BufferSource);
  assertEquals(hash, hex(new Uint8Array(digest)));
});

test("core: is a script of its own that imports nothing", async () => {
  const { compressed } = await coreSource();
  const stream = new Blob([compressed as BufferSource]).stream();
  const source = await new Response(stream.pipeThrough(new DecompressionStream("deflate-raw")))
    .text();
  assert(!/\b(import|export)\b[\s{*"'(]/.test(source), "no modules");
  new Function(source);
});
