/** One body of criteria over every kind of link: in memory, a Unix socket, and the core on each runtime. */

import { HoldfastError } from "../../lib/core/errors.ts";
import type { ExitStatus } from "../../lib/core/host.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { ProcessService } from "../../lib/core/process_service.ts";
import { Router } from "../../lib/core/router.ts";
import type { Service } from "../../lib/core/service.ts";
import { ReceiveStream, SendStream } from "../../lib/core/stream.ts";
import { coreSource } from "../../lib/sources/core_source.ts";
import { bootstrap } from "../../lib/parent/bootstrap.ts";
import { firstStage } from "../../lib/parent/first_stage.ts";
import { socketTransport } from "../../lib/rendezvous/socket_transport.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { contextPair } from "../support/context_pair.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { findExecutable, programOf, type Runtime, sharedRuntime } from "../support/tools.ts";

/** Context 1 below `parent`, with the services that every context has. */
interface Bench extends AsyncDisposable {
  parent: Router;
  cut(): void;
}

interface Kind {
  name: string;
  needs: string[];
  make(): Promise<Bench>;
}

const RUNTIMES: Runtime[] = ["deno", "node", "node18", "bun"];

const KINDS: Kind[] = [
  { name: "in memory", needs: [], make: () => Promise.resolve(joined()) },
  { name: "Unix socket", needs: [], make: overSocket },
  ...RUNTIMES.map((runtime) => ({
    name: `core on ${runtime}`,
    needs: ["linux", runtime],
    make: () => onRuntime(runtime),
  })),
];

function joined(options: Partial<Parameters<typeof contextPair>[0]> = {}): Bench {
  // No spare shell: it would stay until this process ends.
  const processes = new ProcessService({ host: { ...denoHost, shell: null } });
  const context: Service = { ping: { policy: "parents", handle: () => null } };
  const pair = contextPair({ services: { process: processes.service, context }, ...options });
  return {
    parent: pair.parent,
    cut: pair.cut,
    async [Symbol.asyncDispose]() {
      await pair[Symbol.asyncDispose]();
      await processes.close();
    },
  };
}

async function overSocket(): Promise<Bench> {
  const dir = await tempDir();
  const path = dir.join("s");
  const listener = Deno.listen({ transport: "unix", path });
  const [there, here] = await Promise.all([
    listener.accept(),
    Deno.connect({ transport: "unix", path }),
  ]);
  listener.close();
  const bench = joined({ transports: [socketTransport(here), socketTransport(there)] });
  return {
    ...bench,
    async [Symbol.asyncDispose]() {
      await bench[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

async function onRuntime(runtime: Runtime): Promise<Bench> {
  const home = await tempDir();
  const bin = home.join("bin");
  await Deno.mkdir(bin);
  await Deno.symlink(sharedRuntime(runtime), `${bin}/${programOf(runtime)}`);
  for (const tool of ["sh", "cat", "yes", "sleep"]) {
    await Deno.symlink(findExecutable(tool)!, `${bin}/${tool}`);
  }
  const core = await coreSource();
  const child = await denoHost.spawn({
    command: ["/usr/bin/env", "-i", `HOME=${home.path}`, `PATH=${bin}`, "SHELL=/bin/sh"]
      .concat("/bin/sh", "-c", firstStage(core)),
  });
  const parent = new Router({ id: 0 });
  const started = await bootstrap(parent, child, { id: 1, name: "t", owner: "t", core });
  assertEquals(started.runtime, programOf(runtime));
  return {
    parent,
    cut: () => started.link.close(null),
    async [Symbol.asyncDispose]() {
      started.link.close(null);
      await Promise.all([started.closed, child.exit]);
      await home[Symbol.asyncDispose]();
    },
  };
}

interface Exec {
  exit: Promise<ExitStatus>;
  stdin: SendStream;
  stdout: ReceiveStream;
  stderr: ReceiveStream;
}

function exec(router: Router, command: string, signal?: AbortSignal): Exec {
  const stdin = SendStream.open(router, 1);
  const stdout = ReceiveStream.open(router, 1);
  const stderr = ReceiveStream.open(router, 1);
  const args = { command, stdin: stdin.id, stdout: stdout.id, stderr: stderr.id };
  const exit = router.call(1, { service: "process", method: "exec", args }, { signal });
  return { exit: exit as unknown as Promise<ExitStatus>, stdin, stdout, stderr };
}

async function text(stream: ReceiveStream): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for (let chunk = await stream.read(); chunk; chunk = await stream.read()) {
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

for (const { name, needs, make } of KINDS) {
  const on = (criterion: string, body: (bench: Bench) => Promise<void>) =>
    test.needs(...needs)(`link (${name}): ${criterion}`, async () => {
      await using bench = await make();
      await body(bench);
    });

  on("a hundred calls at once are all answered", async ({ parent }) => {
    const ping = { service: "context", method: "ping" };
    assertEquals(
      await Promise.all(Array.from({ length: 100 }, () => parent.call(1, ping))),
      new Array(100).fill(null),
    );
  });

  on("streams, errors and status of a process stay apart", async ({ parent }) => {
    const { exit, stdin, stdout, stderr } = exec(parent, "cat; echo bad >&2; exit 7");
    await stdin.write(new TextEncoder().encode("gööd\n"));
    await stdin.close();
    assertEquals(
      await Promise.all([text(stdout), text(stderr), exit]),
      ["gööd\n", "bad\n", { code: 7, signal: null }],
    );
  });

  on("a process that closes its output early goes on, and the end is told", async ({ parent }) => {
    const command = "exec >&- 2>&-; read line; exit 3";
    const { exit, stdin, stdout, stderr } = exec(parent, command);
    assertEquals(await Promise.all([text(stdout), text(stderr)]), ["", ""]);
    await stdin.write(new TextEncoder().encode("\n"));
    assertEquals(await exit, { code: 3, signal: null });
  });

  on("bytes flow both ways at once, several windows of them, unharmed", async ({ parent }) => {
    const { exit, stdin, stdout, stderr } = exec(parent, "cat");
    const size = 4 * LIMITS.window + 1;
    const sent = new Uint8Array(size).map((_, at) => at * 31 + (at >> 8));
    const writing = stdin.write(sent).then(() => stdin.close());
    let at = 0;
    let same = true;
    for (let chunk = await stdout.read(); chunk; chunk = await stdout.read()) {
      for (const byte of chunk) same &&= byte === sent[at++];
    }
    await writing;
    assertEquals([at, same, await text(stderr), (await exit).code], [size, true, "", 0]);
  });

  on("a call is answered while a stream's reader stands still", async ({ parent }) => {
    const { exit, stdin, stdout } = exec(parent, "yes");
    await stdout.read();
    await parent.call(1, { service: "context", method: "ping" });
    await stdin.close();
    const args = { id: stdout.id, signal: "TERM" };
    await parent.call(1, { service: "process", method: "signal", args });
    stdout.cancel();
    assertEquals((await exit).signal, "SIGTERM");
  });

  on("an unknown method, context and handle are refused", async ({ parent }) => {
    const kind = async (dst: number, service: string, method: string) =>
      (await assertRejects(() => parent.call(dst, { service, method }), HoldfastError)).kind;
    assertEquals(await kind(1, "process", "constructor"), "no_route");
    assertEquals(await kind(99, "context", "ping"), "no_route");
  });

  on("a lost link fails everything that waits on it, once", async ({ parent, cut }) => {
    const { exit, stdin, stdout, stderr } = exec(parent, "exec sleep 60");
    await parent.call(1, { service: "context", method: "ping" });
    const waits = [exit, text(stdout), text(stderr)].map((wait) =>
      assertRejects(() => wait as Promise<unknown>, HoldfastError)
    );
    cut();
    for (const error of await Promise.all(waits)) assertEquals(error.kind, "disconnected");
    assertEquals((await stdin.ended)?.kind, "disconnected");
    const late = await assertRejects(
      () => parent.call(1, { service: "context", method: "ping" }),
      HoldfastError,
    );
    assertEquals(late.kind, "no_route");
  });

  on("many processes, four at a time, each have their own streams", async ({ parent }) => {
    for (let round = 0; round < 5; round++) {
      const runs = Array.from({ length: 4 }, () => exec(parent, "echo x"));
      for (const { stdin, stdout, stderr, exit } of runs) {
        await stdin.close();
        assertEquals(await text(stdout), "x\n");
        assertEquals(await text(stderr), "");
        assert((await exit).code === 0);
      }
    }
  });
}
