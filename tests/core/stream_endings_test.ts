/** Every way to end a stream followed by every other, while the other side has not heard of it. */

import { ReceiveStream } from "../../lib/core/stream.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { assertEquals } from "../support/assert.ts";
import { turn } from "../support/fenced_link.ts";
import { drain, type Ends, ends, io, settled } from "../support/stream_ends.ts";
import { test } from "../support/test.ts";

/** What can end a stream, in every order; the other side hears of it only when the fence opens. */
const ENDINGS: Record<string, (both: Ends) => void> = {
  close: ({ sender }) => void sender.close(),
  abort: ({ sender }) => sender.abort(io("aborted")),
  cancel: ({ receiver }) => receiver.cancel(io("cancelled")),
  fail: ({ receiver }) => receiver.fail(io("failed")),
  cut: ({ pair }) => pair.cut(),
};

for (const [first, end] of Object.entries(ENDINGS)) {
  for (const [second, endAgain] of Object.entries(ENDINGS)) {
    for (const when of ["before credit", "after credit"]) {
      test(`stream: ${first} and then ${second}, both on the way, ${when}`, async () => {
        await using both = ends();
        const writing = both.sender.write(new Uint8Array(2 * LIMITS.window));
        writing.catch(() => {});
        await turn();
        both.data.close();
        both.credit.close();
        if (when === "after credit") {
          for (let i = 0; i < 8; i++) await both.receiver.read();
        }
        end(both);
        endAgain(both);
        both.credit.open();
        await turn();
        both.data.open();
        await turn();
        both.pair.cut();
        // Nobody waits for ever, and the handles are free for others.
        await writing.catch(() => {});
        await drain(both.receiver).catch(() => {});
        await both.sender.ended;
        assertEquals(await settled(both.sender.close()), true);
        const { pair: { child }, sender: { id } } = both;
        ReceiveStream.accept(child, { peer: 0, id }).cancel();
      });
    }
  }
}
