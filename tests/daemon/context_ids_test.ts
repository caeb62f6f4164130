/** Which context was given which ids. */

import { ContextIds } from "../../lib/daemon/context_ids.ts";
import { assertEquals } from "../support/assert.ts";
import { test } from "../support/test.ts";

test("ids: none is given twice, and each knows its owner until that is gone", () => {
  const ids = new ContextIds();
  const client = ids.take();
  const first = ids.grant(7, 64);
  const second = ids.grant(8, 1);
  const third = ids.take();
  assertEquals([client < first, first + 64 <= second, second < third], [true, true, true]);
  assertEquals(
    [client, first, first + 63, second, third].map((id) => ids.ownerOf(id)),
    [undefined, 7, 7, 8, undefined],
  );
  const used = ids.grant(8, 1);
  ids.release(used); // a hop that was opened and has ended
  assertEquals(ids.ownerOf(used), undefined);
  ids.release(7);
  assertEquals([ids.ownerOf(first), ids.ownerOf(second)], [undefined, 8]);
});
