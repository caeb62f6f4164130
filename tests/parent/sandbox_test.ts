/** The connection methods nsenter, chroot, bwrap and local against the real tools. */

import { assertEquals, assertRejects } from "../support/assert.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import type { Host } from "../../lib/core/host.ts";
import { createAccount } from "../support/accounts.ts";
import { busyboxRoot } from "../support/busybox_root.ts";
import { test } from "../support/test.ts";
import { binary, converse, hostOf, open } from "./hop_fixture.ts";

async function failing(host: Host, method: string, argument?: string): Promise<string[]> {
  const error = await assertRejects(() => open(host, { method, argument }), HoldfastError);
  return [error.kind, error.message.replace(/^web1,\S+: /, "").replace(/ \(.*/, "")];
}

/** As the account has it, whatever our own environment says. */
const ROOTS_HOME = /^root:(?:[^:]*:){4}([^:]*)/m.exec(Deno.readTextFileSync("/etc/passwd"))![1];
const WHO = 'echo "$USER $HOME $SHELL $PWD ${XDG_RUNTIME_DIR-none}"';

for (const method of ["chroot", "bwrap"]) {
  test.needs("root", method, "busybox")(
    `${method}: has the directory as root, and its user's surroundings`,
    async () => {
      await using root = await busyboxRoot();
      const options = { method, argument: root.path, line: WHO };
      assertEquals(
        (await converse(await open(denoHost, options))).text,
        "admin /root /bin/sh /root none\n",
      );
      const bytes = binary();
      const child = await open(denoHost, { method, argument: root.path });
      assertEquals((await converse(child, bytes)).stdout, bytes);
    },
  );

  test.needs("root", method, "busybox")(
    `${method}: no directory, and none with a shell`,
    async () => {
      await using root = await busyboxRoot();
      assertEquals(await failing(denoHost, method, root.join("none")), [
        "not_found",
        "there is no such directory",
      ]);
      await Deno.remove(root.join("bin/sh"));
      const status = method === "chroot" ? 127 : 1;
      assertEquals(await failing(denoHost, method, root.path), [
        "bootstrap",
        `${method} ended with status ${status} before any shell`,
      ]);
    },
  );
}

test.needs("root", "chroot", "busybox")("chroot: not as anybody, and below the home", async () => {
  await using ann = await createAccount();
  await Deno.mkdir(`${ann.home}/jail`);
  assertEquals(await failing(hostOf(ann), "chroot", "jail"), [
    "permission",
    "chroot may not do this",
  ]);
});

test.needs("root", "bwrap")("bwrap: without a directory, everything as it is", async () => {
  const child = await open(denoHost, { method: "bwrap", line: 'echo "$HOME $PWD";exec cat' });
  const { text } = await converse(child, new TextEncoder().encode("hello\n"));
  assertEquals(text, `${ROOTS_HOME} ${ROOTS_HOME}\nhello\n`);
});

test.needs("root", "nsenter", "unshare")(
  "nsenter: enters the namespaces of a process",
  async () => {
    const asleep = new Deno.Command("unshare", {
      args: ["-u", "sh", "-c", "hostname elsewhere && echo ready && exec sleep 1000"],
      stdout: "piped",
    }).spawn();
    const reader = asleep.stdout.getReader();
    await reader.read();
    const argument = `${asleep.pid}`;
    const options = { method: "nsenter", argument, line: 'hostname;echo "$PWD";exec cat' };
    const { text } = await converse(
      await open(denoHost, options),
      new TextEncoder().encode("hello\n"),
    );
    assertEquals(text, `elsewhere\n${ROOTS_HOME}\nhello\n`);
    await using ann = await createAccount();
    assertEquals(await failing(hostOf(ann), "nsenter", argument), [
      "permission",
      "nsenter may not do this",
    ]);
    asleep.kill("SIGKILL");
    await asleep.status;
    await reader.cancel();
    assertEquals(await failing(denoHost, "nsenter", argument), [
      "not_found",
      "there is no such process",
    ]);
    assertEquals((await failing(denoHost, "nsenter", "4711x"))[0], "usage");
  },
);

test.needs("linux")("local: a shell of the same user, with nothing changed", async () => {
  const child = await open(denoHost, { method: "local", line: 'echo "$PWD";exec cat' });
  const { text } = await converse(child, new TextEncoder().encode("hello\n"));
  assertEquals(text, `${Deno.env.get("HOME")}\nhello\n`);
});
