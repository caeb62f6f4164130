/** What a process service sends, and when. */

import { Decoder } from "../../lib/core/decoder.ts";
import type { Frame } from "../../lib/core/frame.ts";
import type { Child, Host } from "../../lib/core/host.ts";
import { Link } from "../../lib/core/link.ts";
import { ProcessService } from "../../lib/core/process_service.ts";
import { Router } from "../../lib/core/router.ts";
import { serve } from "../../lib/core/service.ts";
import { ReceiveStream } from "../../lib/core/stream.ts";
import { transportPair } from "../../lib/core/transport_pair.ts";
import { assertEquals } from "../support/assert.ts";
import { test } from "../support/test.ts";

/** A host whose only process has ended, without a word, when it starts. */
function endedHost(): Host {
  const silent = { read: () => Promise.resolve(null), cancel() {} };
  const sink = { write: () => Promise.resolve(), close: () => Promise.resolve() };
  const exit = Promise.resolve({ code: 0, signal: null } as const);
  const streams = { stdin: sink, stdout: silent, stderr: silent };
  const child: Child = { pid: 1, ...streams, exit, kill() {}, resize() {}, isAlive: () => false };
  return { shell: null, spawn: () => Promise.resolve(child) } as unknown as Host;
}

test("process: the ends of its output and its status leave in one batch", async () => {
  const [above, below] = transportPair();
  const batches: Frame[][] = [];
  const watched = {
    ...below,
    write(bytes: Uint8Array) {
      const frames: Frame[] = [];
      new Decoder((frame) => frames.push(frame)).push(bytes);
      batches.push(frames);
      return below.write(bytes);
    },
  };
  const parent = new Router({ id: 0 });
  const child = new Router({ id: 1, parentIds: [0] });
  const down = new Link(1, above);
  const up = new Link(0, watched);
  parent.addRoute(1, down);
  child.setParent(up);
  serve(child, { process: new ProcessService({ host: endedHost() }).service });
  const running = [
    down.run({ onFrame: (frame) => parent.receive(frame, down), onClose() {} }),
    up.run({ onFrame: (frame) => child.receive(frame, up), onClose() {} }),
  ];
  const stdout = ReceiveStream.open(parent, 1);
  const stderr = ReceiveStream.open(parent, 1);
  const args = { command: ["x"], stdin: null, stdout: stdout.id, stderr: stderr.id };
  const status = await parent.call(1, { service: "process", method: "exec", args });
  assertEquals(status, { code: 0, signal: null });
  assertEquals([await stdout.read(), await stderr.read()], [null, null]);
  assertEquals(batches.map(({ length }) => length), [3]);
  down.close(null);
  up.close(null);
  await Promise.all(running);
});
