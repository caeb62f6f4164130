/** The numbers of the wire. A change here is a change of the protocol: see the versioning in PROTOCOL.md. */

import * as constants from "../../lib/core/constants.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { test } from "../support/test.ts";

test("constants: every number of the wire is pinned", () => {
  const { GREETING_MAGIC, ...numbers } = constants;
  assertEquals({ ...numbers }, {
    MAGIC: 0x4d49,
    HEADER_SIZE: 26,
    GET_MODULE: 100,
    CALL_FUNCTION: 101,
    FORWARD_LOG: 102,
    ADD_ROUTE: 103,
    DEL_ROUTE: 104,
    ALLOCATE_ID: 105,
    SHUTDOWN: 106,
    LOAD_MODULE: 107,
    FORWARD_MODULE: 108,
    DETACHING: 109,
    CALL_SERVICE: 110,
    IS_DATA: 998,
    IS_DEAD: 999,
    FIRST_DYNAMIC_HANDLE: 1000,
    MIRROR: 0x80000000,
    PROTOCOL_VERSION: 1,
    GREETING_HEADER_SIZE: 46,
    ROOT_ID: 0,
  });
  assertEquals([...GREETING_MAGIC], [0xff, 0x00, ...new TextEncoder().encode("HOLD\r\n")]);
});

test("constants: no text in UTF-8 can contain the greeting's magic", () => {
  const { GREETING_MAGIC } = constants;
  assert(new TextDecoder().decode(GREETING_MAGIC).includes("\ufffd"));
});

test("limits: every bound is pinned, and the protocol's text names it", async () => {
  const KiB = 1024;
  const MiB = KiB * KiB;
  assertEquals({ ...LIMITS }, {
    framePayload: MiB,
    jsonDepth: 32,
    chunk: 64 * KiB,
    window: MiB,
    maxWindow: 8 * MiB,
    queuedControl: 16 * MiB,
    queuedBulk: 64 * MiB,
    openPerPeer: 4096,
    routesPerLink: 4096,
    dropped: 1000,
    modulesWanted: 256,
    noise: 256 * KiB,
    greeting: 64 * KiB,
    value: 64 * MiB,
    valueDepth: 256,
    source: 8 * MiB,
  });
  const text = await Deno.readTextFile(new URL("../../lib/core/PROTOCOL.md", import.meta.url));
  for (const name of Object.keys(LIMITS)) assert(text.includes(`\`${name}\``), name);
});

test("constants: the protocol's text names every handle with its number", async () => {
  const text = await Deno.readTextFile(new URL("../../lib/core/PROTOCOL.md", import.meta.url));
  for (const [name, value] of Object.entries(constants)) {
    if (typeof value !== "number" || value < 100 || value > 999) continue;
    assert(new RegExp(`\\| ${value} +\\| \`?${name}\`?`).test(text), name);
  }
});

test("limits: one chunk fits in a frame and a window, and a window in the largest", () => {
  assert(LIMITS.chunk <= LIMITS.framePayload && LIMITS.chunk <= LIMITS.window);
  assert(LIMITS.window <= LIMITS.maxWindow && LIMITS.maxWindow <= LIMITS.queuedBulk);
});
