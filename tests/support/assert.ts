/**
 * The assertions that tests use: a typed door to the standard library's, whose npm republication
 * carries no declarations. Every test imports them from here.
 */

// @ts-types="./assert.d.ts"
export {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
  fail,
} from "@std/assert";
