/** The connection method podman against real containers. */

import { assertEquals, assertRejects, assertStringIncludes } from "../support/assert.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import { Router } from "../../lib/core/router.ts";
import { coreSource } from "../../lib/sources/core_source.ts";
import { bootstrap } from "../../lib/parent/bootstrap.ts";
import { firstStage } from "../../lib/parent/first_stage.ts";
import { startContainer } from "../support/container.ts";
import { test } from "../support/test.ts";
import type { Runtime } from "../support/tools.ts";
import { binary, converse, open } from "./hop_fixture.ts";

const needs = ["root", "podman", "runc", "busybox"];

test.needs(...needs)(
  "podman: opens a shell that is a login's in everything but its profile",
  async () => {
    await using box = await startContainer();
    const line = 'id -u;echo "$USER $LOGNAME $HOME $SHELL $PWD ${LANGUAGE-none}"';
    const child = await open(denoHost, { method: "podman", argument: box.name, line });
    assertEquals((await converse(child)).text, "0\nroot root /root /bin/sh /root none\n");
  },
);

test.needs(...needs)("podman: passes every byte in both directions", async () => {
  await using box = await startContainer();
  const child = await open(denoHost, { method: "podman", argument: box.name });
  const bytes = binary();
  const { stdout, stderr } = await converse(child, bytes);
  assertEquals([stdout, stderr], [bytes, ""]);
});

test.needs(...needs)(
  "podman: an unknown container, a stopped one and one without a shell",
  async () => {
    await using box = await startContainer();
    await using bare = await startContainer();
    await bare.run("/bin/busybox", "rm", "/bin/sh");
    const failing = async (argument: string) => {
      const error = await assertRejects(
        () => open(denoHost, { method: "podman", argument }),
        HoldfastError,
      );
      return [error.kind, error.message.replace(/^web1,\S+: /, "")];
    };
    assertEquals(await failing("hf-none"), ["not_found", "there is no such container"]);
    const [kind, message] = await failing(bare.name);
    assertEquals(kind, "bootstrap");
    assertStringIncludes(
      message,
      "podman ended with status 127 before any shell (Error: runc: exec failed",
    );
    await box.stop();
    const stopped = await failing(box.name);
    assertEquals(stopped[0], "bootstrap");
    assertStringIncludes(
      stopped[1],
      "podman ended with status 255 before any shell (Error: can only",
    );
  },
);

test.needs(...needs)("podman: what it runs ends when podman is killed", async () => {
  await using box = await startContainer();
  const options = { method: "podman", argument: box.name, line: "echo here;exec cat -" };
  const child = await open(denoHost, options);
  await child.stdout.read();
  child.kill("SIGKILL");
  await child.exit;
  child.stdout.cancel();
  child.stderr.cancel();
  await child.stdin.close();
  for (let i = 0; (await box.run("ps")).includes("cat -"); i++) {
    if (i === 100) throw new Error("cat is still there");
  }
});

for (const runtime of ["deno", "node", "bun"] as Runtime[]) {
  test.needs(...needs, runtime)(`podman: the core runs inside (${runtime})`, async () => {
    await using box = await startContainer({ runtimes: [runtime] });
    const core = await coreSource();
    const line = firstStage(core);
    const child = await open(denoHost, { method: "podman", argument: box.name, line });
    const router = new Router({ id: 0 });
    const started = await bootstrap(router, child, { id: 1, name: "t", owner: "t", core });
    assertEquals(started.runtime, runtime);
    started.link.close(null);
    await started.closed;
    await child.exit;
  });
}

test.needs(...needs)("podman: a container whose account has no home", async () => {
  await using box = await startContainer({ passwd: ["other:x:1:1::/nowhere:/bin/none"] });
  const line = 'echo "${USER-none} $HOME $SHELL $PWD"';
  const child = await open(denoHost, { method: "podman", argument: box.name, line });
  assertEquals((await converse(child)).text, "none / /bin/sh /\n");
});
