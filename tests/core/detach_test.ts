/** A context that outlives its parent, and one that does not. */

import { denoHost } from "../../lib/files/host_deno.ts";
import { DETACHING } from "../../lib/core/constants.ts";
import { makeFrame } from "../../lib/core/frame.ts";
import { encodeGreeting } from "../../lib/core/greeting.ts";
import { Router } from "../../lib/core/router.ts";
import { ReceiveStream } from "../../lib/core/stream.ts";
import { coreSource } from "../../lib/sources/core_source.ts";
import { bootstrap } from "../../lib/parent/bootstrap.ts";
import { firstStage } from "../../lib/parent/first_stage.ts";
import { detachChild } from "../../lib/parent/detach_child.ts";
import { assertEquals, assertStringIncludes } from "../support/assert.ts";
import { star, turn } from "../support/fenced_link.ts";
import { readProcess } from "../support/processes.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";

/** Starts a context with a command that waits for `fifo` and may stay, and cuts its link. */
async function leave(fifo: string, { detach }: { detach: boolean }) {
  const core = await coreSource();
  const child = await denoHost.spawn({ command: firstStage(core) });
  const router = new Router({ id: 0 });
  const started = await bootstrap(router, child, {
    id: 1,
    name: "t",
    owner: "t",
    core,
    endGrace: 1,
  });
  if (detach) await detachChild(router, 1);
  const stdout = ReceiveStream.open(router, 1);
  const stderr = ReceiveStream.open(router, 1);
  const args = {
    command: `echo up; read line <${fifo}`,
    stdin: null,
    stdout: stdout.id,
    stderr: stderr.id,
    leave: true,
  };
  router.call(1, { service: "process", method: "exec", args }).catch(() => {});
  await stdout.read();
  started.link.close(null);
  await started.closed;
  return child;
}

test("detach: the context stays until what it runs has ended", async () => {
  await using dir = await tempDir();
  const fifo = dir.join("fifo");
  await new Deno.Command("mkfifo", { args: [fifo] }).output();
  const child = await leave(fifo, { detach: true });
  // Opening it for writing waits for the command, which is there: nothing ended it with the link.
  await Deno.writeTextFile(fifo, "go on\n");
  assertEquals(await child.exit, { code: 0, signal: null });
});

test("detach: one that is not detached is ended with its link", async () => {
  await using dir = await tempDir();
  const fifo = dir.join("fifo");
  await new Deno.Command("mkfifo", { args: [fifo] }).output();
  const child = await leave(fifo, { detach: false });
  assertEquals((await child.exit).signal, "SIGKILL");
  assertEquals(readProcess(child.pid), undefined);
  await Deno.writeTextFile(fifo, "go on\n"); // `--leave`: the command itself stays
});

test.needs("linux")(
  "detach: a hostile child that nobody ordered to is killed all the same",
  async () => {
    await using dir = await tempDir();
    const core = await coreSource();
    const detaching = makeFrame({ dst: 0, src: 1, auth: 1, handle: DETACHING, replyTo: 0 });
    await Deno.writeFile(dir.join("said"), encodeGreeting({ runtime: "deno" }, core.hash));
    await Deno.writeFile(dir.join("said"), detaching.bytes, { append: true });
    // It greets as the core does, says at once that it is detached, and does not mind that its link ends.
    const command = ["sh", "-c", 'cat "$0"; exec sleep 1000', dir.join("said")];
    const child = await denoHost.spawn({ command });
    const warned = Promise.withResolvers<string>();
    const router = new Router({ id: 0, onWarning: warned.resolve });
    const started = await bootstrap(router, child, {
      id: 1,
      name: "t",
      owner: "t",
      core,
      endGrace: 1,
    });
    assertStringIncludes(await warned.promise, "it was not told to detach");
    started.link.close(null);
    await started.ended;
    assertEquals((await child.exit).signal, "SIGKILL");
  },
);

test("detach: only the neighbour that was ordered to is believed, and only of itself", async () => {
  await using tree = star();
  const [ordered, other] = [7, 8].map((id) => tree.child(id));
  tree.router.addRoute(20, other.link);
  detachChild(tree.router, 7).catch(() => {});
  detachChild(tree.router, 20).catch(() => {});
  other.send({ handle: DETACHING });
  other.send({ src: 20, auth: 20, handle: DETACHING });
  other.send({ src: 7, auth: 7, handle: DETACHING });
  await turn();
  assertEquals([ordered.link.detached, other.link.detached], [false, false]);
  ordered.send({ handle: DETACHING });
  await turn();
  assertEquals([ordered.link.detached, other.link.detached], [true, false]);
});
