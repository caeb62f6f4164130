/** Escape characters in what is typed. */
import { EscapeFilter } from "../../lib/dropin/escape_filter.ts";
import { assertEquals } from "../support/assert.ts";
import { test } from "../support/test.ts";

/** Commands in angle brackets among what is sent; `|` in the typed text is where one read ends. */
function typed(text: string, escape = "~"): string {
  const filter = new EscapeFilter(escape);
  return text.split("|").flatMap((part) => filter.read(new TextEncoder().encode(part)))
    .map((part) => typeof part === "string" ? `<${part}>` : new TextDecoder().decode(part)).join(
      "",
    );
}

test("escape filter: only at the beginning of a line", () => {
  const cases: [typed: string, found: string][] = [
    ["~.", "<disconnect>"],
    ["a~.", "a~."],
    ["a\r~.", "a\r<disconnect>"],
    ["a\n~.", "a\n<disconnect>"],
    ["a\r|~|.", "a\r<disconnect>"],
    ["~~.", "~."],
    ["~~~.", "~~."],
    ["~x~.", "~x~."],
    ["~\r~.", "~\r<disconnect>"],
    ["~?~.", "<help><disconnect>"],
    ["ls\r~\x1apwd\r", "ls\r<suspend>pwd\r"],
    ["~C", "<unsupported>"],
    ["~ü", "~ü"],
    ["~", ""],
  ];
  for (const [text, found] of cases) assertEquals(typed(text), found, JSON.stringify(text));
  assertEquals(typed("~.\x01.", "\x01"), "~.\x01.");
  assertEquals(typed("~\r\x01.", "\x01"), "~\r<disconnect>");
});
