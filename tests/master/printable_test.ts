import { printable } from "../../lib/core/printable.ts";
import { assertEquals } from "../support/assert.ts";
import { test } from "../support/test.ts";

test("printable: controls of every kind become visible", () => {
  assertEquals(printable("a\x1b[2Jb\x07\x00\x7f\x9b1m"), "a\\x1b[2Jb\\x07\\x00\\x7f\\x9b1m");
  assertEquals(
    printable("\u202eevil\u2066\u200b\ud800"),
    "\\u{202e}evil\\u{2066}\\u{200b}\\u{d800}",
  );
  assertEquals(printable("Grüße 🙂 \\x"), "Grüße 🙂 \\x");
});

test("printable: newline and tab pass only where allowed", () => {
  assertEquals(printable("a\n\tb\r"), "a\\x0a\\x09b\\x0d");
  assertEquals(printable("a\n\tb\r", { multiline: true }), "a\n\tb\\x0d");
});
