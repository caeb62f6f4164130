/** The turns of sessions, against a server that is a number. */
import { HoldfastError } from "../../lib/core/errors.ts";
import { SessionQueue } from "../../lib/master/session_queue.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";
import { test } from "../support/test.ts";

/** A server that allows `limit` sessions; opening one takes a turn of the event loop. */
function server(limit: number) {
  let open = 0;
  return {
    refusals: 0,
    async open(): Promise<void> {
      await new Promise((resolve) => setTimeout(resolve));
      if (open >= limit) {
        this.refusals++;
        throw new HoldfastError("limit", "full");
      }
      open++;
    },
    close: () => open--,
  };
}

/** Lets all that can happen happen. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve));
}

test("SessionQueue: one place is left for what cannot wait, once the limit is known", async () => {
  const host = server(3);
  const queue = new SessionQueue();
  let begun = 0;
  const sessions = Array.from(
    { length: 9 },
    () => queue.take(() => host.open()).then(() => begun++),
  );
  await settle();
  assertEquals([begun, host.refusals], [3, 6]);
  const end = () => {
    host.close();
    queue.release();
  };
  end();
  await settle();
  assertEquals([begun, host.refusals], [3, 6]);
  await queue.now(() => host.open());
  await assertRejects(() => queue.now(() => host.open()), HoldfastError, "all that the host");
  end();
  for (let i = 4; i <= 9; i++) {
    end();
    await settle();
    assertEquals([begun, host.refusals], [i, 6]);
  }
  await Promise.all(sessions);
});

test("SessionQueue: who was woken for nothing is woken again", async () => {
  const host = server(1);
  const queue = new SessionQueue();
  await queue.take(() => host.open());
  const second = queue.take(() => host.open());
  await settle();
  host.close();
  const urgent = queue.now(() => Promise.reject(new HoldfastError("limit", "full")));
  await assertRejects(() => urgent, HoldfastError);
  queue.release();
  const failing = Promise.withResolvers<void>();
  const late = queue.now(() => failing.promise);
  await settle();
  failing.reject(new HoldfastError("io", "it broke"));
  await assertRejects(() => late, HoldfastError);
  await second;
});

test("SessionQueue: nobody waits for a session that is there to stay", async () => {
  const host = server(1);
  const queue = new SessionQueue();
  await queue.take(() => host.open());
  const waiting = queue.take(() => host.open());
  await settle();
  queue.keep();
  await assertRejects(() => waiting, HoldfastError, "MaxSessions");
});

test("SessionQueue: what can be spared is asked for when somebody waits", async () => {
  const host = server(1);
  const queue = new SessionQueue();
  await queue.take(() => host.open());
  const giveBack = () => {
    withdraw();
    host.close();
    queue.release();
  };
  const withdraw = queue.spare(giveBack);
  await queue.take(() => host.open());
});
