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

test("SessionQueue: all get their turn, as many at a time as the server allows", async () => {
  const host = server(3);
  const queue = new SessionQueue();
  let begun = 0;
  const sessions = Array.from(
    { length: 9 },
    () => queue.take(() => host.open()).then(() => begun++),
  );
  await settle();
  assertEquals(begun, 3);
  await assertRejects(() => queue.now(() => host.open()), HoldfastError, "full");
  for (let i = 4; i <= 9; i++) {
    host.close();
    queue.release();
    await settle();
    assertEquals(begun, i);
  }
  await Promise.all(sessions);
});

test("SessionQueue: a refusal that is out of date costs no place", async () => {
  const host = server(3);
  const queue = new SessionQueue();
  for (let i = 0; i < 3; i++) await queue.take(() => host.open());
  // The server frees it after it has refused the next one; nothing else will end.
  const late = queue.take(() => host.open());
  queue.release();
  await new Promise((resolve) => setTimeout(resolve));
  host.close();
  await late;
});

test("SessionQueue: a larger limit is found out", async () => {
  const host = server(1);
  const queue = new SessionQueue();
  await queue.take(() => host.open());
  const waiting = [1, 2, 3].map(() => queue.take(() => host.open()));
  await settle();
  host.close(); // somebody else's, as it were: there is room for three more
  host.close();
  host.close();
  queue.release();
  await Promise.all(waiting);
});

test("SessionQueue: nobody waits for a session that is there to stay", async () => {
  const host = server(1);
  const queue = new SessionQueue();
  await queue.take(() => host.open());
  const waiting = queue.take(() => host.open());
  await settle();
  queue.keep();
  await assertRejects(() => waiting, HoldfastError, "full");
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
