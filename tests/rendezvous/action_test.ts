/** One line of the relay, as data: the three verbs, a shell's quoting, and what is refused. */

import { HoldfastError } from "../../lib/core/errors.ts";
import { parseAction, splitWords } from "../../lib/rendezvous/action.ts";
import { assert, assertEquals, assertThrows } from "../support/assert.ts";
import { test } from "../support/test.ts";

test("action: EXEC takes the command verbatim", () => {
  for (
    const command of ["id", "  echo 'a  b' \\ $X  ", "echo \u00fc\u{1f600}", "a\tb", "EXEC: id"]
  ) {
    assertEquals(parseAction(`EXEC: ${command}`), { type: "exec", command });
  }
  assertEquals(parseAction(" \tEXEC: id"), { type: "exec", command: "id" });
});

test("action: PUT and FETCH take two words, quoted as in a shell", () => {
  assertEquals(parseAction("PUT: a b"), { type: "put", source: "a", destination: "b" });
  assertEquals(parseAction("FETCH:  'a b'\t\"c 'd'\" "), {
    type: "fetch",
    source: "a b",
    destination: "c 'd'",
  });
  assertEquals(parseAction("PUT: ./-x ''"), { type: "put", source: "./-x", destination: "" });
});

test("action: what is none is refused without being quoted", () => {
  const lines = [
    "secret",
    "exec: secret",
    "EXEC:secret",
    "EXEC secret",
    "EXEC:",
    "EXEC:   ",
    "EXEC: secret\0",
    "PUT: secret",
    "PUT: secret b c",
    "PUT: 'secret b",
    "PUT: '' secret",
    "FETCH: secret b\\",
    '{"password": "secret"}',
    `EXEC: ${"secret".repeat(200_000)}`,
  ];
  for (const line of lines) {
    const error = assertThrows(() => parseAction(line), HoldfastError);
    assertEquals(error.kind, "usage", line);
    assert(!error.message.includes("secret"), error.message);
    assert(!error.message.includes("\n"));
  }
});

test("action: a command of 200 KiB is one", () => {
  const command = "x".repeat(200 * 1024);
  assertEquals(parseAction(`EXEC: ${command}`), { type: "exec", command });
});

test("words: split as a POSIX shell splits them", async () => {
  const texts = [
    "",
    "   ",
    "a b  c",
    `'a b' "c d"`,
    `a'b'"c"d`,
    `'' ""`,
    String.raw`a\ b \'c\' \\`,
    String.raw`"a\"b" "a\b" "\\" "\$x"`,
    String.raw`'a\b' 'a"b'`,
    `"a'b"`,
    "\u00fc '\u{1f600} x'",
    "-n --x=y",
  ];
  for (const text of texts) {
    const script = `for word in ${text}; do printf '%s\\0' "$word"; done`;
    const shell = new Deno.Command("sh", { args: ["-c", script], stdout: "piped" });
    const { stdout } = await shell.output();
    const expected = new TextDecoder().decode(stdout).split("\0").slice(0, -1);
    assertEquals(splitWords(text), expected, text);
  }
});
