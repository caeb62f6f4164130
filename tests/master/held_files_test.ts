/** One session for files, shared and given back. */
import { HoldfastError } from "../../lib/core/errors.ts";
import type { OpenFile } from "../../lib/core/host.ts";
import { HeldFiles, type HostFiles } from "../../lib/master/held_files.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";
import { test } from "../support/test.ts";

const FILE = { close: () => Promise.resolve() } as OpenFile;

function world() {
  const seen = { opened: 0, closed: 0 };
  let giveBack: (() => void) | null = null;
  let end = () => {};
  let fails = false;
  const held = new HeldFiles({
    open() {
      seen.opened++;
      if (fails) return Promise.reject(new HoldfastError("limit", "full"));
      const ended = Promise.withResolvers<void>();
      end = ended.resolve;
      const files = {
        readDir: () => Promise.resolve(["a"]),
        openRead: () => Promise.resolve(FILE),
      } as unknown as HostFiles;
      const close = () => {
        seen.closed++;
        ended.resolve();
      };
      return Promise.resolve({ files, closed: ended.promise, close });
    },
    spare(give) {
      giveBack = give;
      return () => giveBack = null;
    },
  });
  return {
    held,
    seen,
    end: () => end(),
    fail: (how: boolean) => fails = how,
    /** Asks for the session; false when it is in use. */
    want() {
      giveBack?.();
      return giveBack !== null;
    },
  };
}

test("HeldFiles: one session for all, given back when it is idle and wanted", async () => {
  const { held, seen, want } = world();
  await Promise.all([held.files.readDir("x"), held.files.readDir("y")]);
  const file = await held.files.openRead("z");
  assertEquals([want(), seen], [false, { opened: 1, closed: 0 }]);
  await file.close();
  await file.close(); // once too often is no second leave
  want();
  await Promise.resolve();
  assertEquals(seen, { opened: 1, closed: 1 });
  assertEquals(await held.files.readDir("x"), ["a"]);
  assertEquals(seen.opened, 2);
  held.close();
  await Promise.resolve();
  assertEquals(seen.closed, 2);
});

test("HeldFiles: one that ended or could not be opened is opened anew", async () => {
  const { held, seen, end, fail } = world();
  await held.files.readDir("x");
  end();
  await new Promise((resolve) => setTimeout(resolve));
  fail(true);
  await assertRejects(() => held.files.readDir("x"), HoldfastError, "full");
  fail(false);
  await held.files.readDir("x");
  assertEquals(seen.opened, 3);
  held.close();
});
