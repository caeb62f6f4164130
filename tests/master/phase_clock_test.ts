/** The deadlines of a connection attempt: each phase has its own, and a person's time does not count. */

import {
  type Phase,
  PHASE_DEADLINES,
  PhaseClock,
  tookTooLong,
} from "../../lib/master/phase_clock.ts";
import { assertEquals, assertStringIncludes } from "../support/assert.ts";
import { test } from "../support/test.ts";

for (const phase of Object.keys(PHASE_DEADLINES) as Phase[]) {
  test(`phase clock: ${phase} ends at its own deadline, and says so`, async () => {
    const expired = await new Promise<Phase>((resolve) => {
      const clock = new PhaseClock(resolve);
      clock.enter("kex", 60_000);
      clock.enter(phase, 1);
    });
    assertEquals(expired, phase);
    const { kind, message } = tookTooLong(expired, "ann@web1:22");
    assertEquals(kind, "timeout");
    assertStringIncludes(message, "ann@web1:22: no answer in time\n");
  });
}

test("phase clock: paused it does not expire, resumed it goes on, stopped it is over", async () => {
  const expired: string[] = [];
  const paused = new PhaseClock((phase) => expired.push(`paused ${phase}`));
  paused.pause();
  paused.pause();
  paused.enter("authenticate", 0);
  paused.resume();
  const stopped = new PhaseClock((phase) => expired.push(`stopped ${phase}`));
  stopped.enter("resolve", 0);
  stopped.stop();
  // Timers of one length expire in the order in which they were set: this one is after theirs.
  await new Promise<void>((resolve) => new PhaseClock(() => resolve()).enter("connect", 1));
  assertEquals(expired, []);
  const resumed = new Promise<void>((resolve) => {
    const clock = new PhaseClock(() => resolve());
    clock.enter("authenticate", 1);
    clock.pause();
    clock.resume();
  });
  await resumed;
});
