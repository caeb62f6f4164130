/** The word by which what runs behind a tool begins its outputs. */
import { assertEquals } from "../support/assert.ts";
import { Announcement } from "../../lib/parent/announcement.ts";
import { test } from "../support/test.ts";

const WORD = "hf0123-open\n";

test("Announcement: found wherever its bytes are cut, with what is before and behind", () => {
  const before = new Uint8Array([0xff, 0xc3, 0x68, 0x66, 0x30]); // no text, and the word's beginning
  const rest = new Uint8Array([0xa4, 0x0a, 0x00]);
  const all = new Uint8Array([...before, ...new TextEncoder().encode(WORD), ...rest]);
  for (let cut = 0; cut <= all.length; cut++) {
    const announcement = new Announcement(WORD);
    const behind: number[] = [];
    let tools = 0;
    let open = false;
    for (const bytes of [all.subarray(0, cut), all.subarray(cut)]) {
      if (open) {
        behind.push(...bytes);
        continue;
      }
      const found = announcement.find(bytes);
      tools += found ? found.before : bytes.length;
      behind.push(...found?.rest ?? []);
      open = found !== null;
    }
    assertEquals([open, behind], [true, [...rest]], `${cut}`);
    // A part of the word that came alone may count as the tool's.
    assertEquals(tools >= before.length && tools < before.length + WORD.length, true, `${cut}`);
  }
});

test("Announcement: another word is none", () => {
  const announcement = new Announcement(WORD);
  for (const text of ["hf0123-open", "hf0123-open ", "HF0123-OPEN\n"]) {
    assertEquals(announcement.find(new TextEncoder().encode(text)), null);
  }
});
