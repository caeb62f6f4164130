/** What starting a context costs in bytes, and what the first stage may be made of. */

import { inflateRawSync } from "node:zlib";
import { coreSource } from "../../lib/sources/core_source.ts";
import { ownModule } from "../../lib/sources/own_modules.ts";
import { contextTitle, firstStage } from "../../lib/parent/first_stage.ts";
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
  for (const isCompressed of [true, false]) {
    const core = { bytes: { length: 99_999_999 } as Uint8Array, isCompressed, hash: "" };
    const names = { name: "x".repeat(100), owner: "y".repeat(100) };
    const line = firstStage(core, { title: contextTitle(names) });
    assert(line.length <= FIRST_STAGE_BUDGET, `${line.length} bytes`);
  }
});

test("first stage: nothing in it that a login shell's single quotes do not keep", async () => {
  const words = firstStage(await coreSource()).split("'");
  // exec sh -c '...' '...'
  assertEquals([words.length, words[0], words[2], words[4]], [5, "exec sh -c ", " ", ""]);
  for (const text of words) assert(!/[\\!\n\r\0]|[^\x20-\x7e]/.test(text), text);
});

test("core: within its budget", async () => {
  const { bytes } = await coreSource();
  assert(bytes.length <= CORE_BUDGET, `${bytes.length} bytes of ${CORE_BUDGET}`);
});

test("core: with what opens hops, within their budget", async () => {
  const { bytes } = await coreSource();
  const { source } = await ownModule("hops");
  const size = bytes.length + source.length;
  assert(size <= PARENT_BUDGET, `${size} bytes of ${PARENT_BUDGET}`);
});

test("core: its hash is that of the script", async () => {
  const { bytes, hash } = await coreSource();
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(inflateRawSync(bytes)));
  assertEquals(hash, hex(new Uint8Array(digest)));
});

test("core: is a script of its own that imports nothing", async () => {
  const { bytes } = await coreSource();
  const source = new TextDecoder().decode(inflateRawSync(bytes));
  assert(!/\b(import|export)\b[\s{*"'(]/.test(source), "no modules");
  new Function(source);
});
