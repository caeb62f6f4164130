/** A context that outlives its parent, and one that does not. */

import { denoHost } from "../../lib/files/host_deno.ts";
import { Router } from "../../lib/core/router.ts";
import { ReceiveStream } from "../../lib/core/stream.ts";
import { coreSource } from "../../lib/sources/core_source.ts";
import { bootstrap } from "../../lib/parent/bootstrap.ts";
import { firstStage } from "../../lib/parent/first_stage.ts";
import { assertEquals } from "../support/assert.ts";
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
  if (detach) await router.call(1, { service: "context", method: "detach" });
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
