/** The connection method sudo against the real one. */

import { assertEquals, assertRejects, assertStringIncludes } from "../support/assert.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import { openHop } from "../../lib/parent/open_hop.ts";
import type { PasswordQuestion } from "../../lib/parent/tool_talk.ts";
import { type Account, createAccount } from "../support/accounts.ts";
import { readProcess } from "../support/processes.ts";
import { test } from "../support/test.ts";
import { binary, converse, hostOf, open, untilGone } from "./hop_fixture.ts";

const sudoTest = test.needs("root", "sudo", "setpriv");
const WHO = 'echo "$(id -un) $USER $LOGNAME $HOME $SHELL $PWD ${LANGUAGE-none}"';

/** A rule of sudo's that goes with the test. */
async function sudoers(account: Account, text: string): Promise<AsyncDisposable> {
  const path = `/etc/sudoers.d/${account.name}-more`;
  await Deno.writeTextFile(path, `${text}\n`, { mode: 0o440 });
  return { [Symbol.asyncDispose]: () => Deno.remove(path) };
}

sudoTest("sudo: without a password, opens a shell that is root's in everything", async () => {
  await using ann = await createAccount({ sudo: "nopasswd" });
  const child = await open(hostOf(ann), { method: "sudo", line: WHO });
  assertEquals((await converse(child)).text, "root root root /root /bin/bash /root none\n");
});

sudoTest("sudo: passes every byte in both directions, and ends when its input does", async () => {
  await using ann = await createAccount({ sudo: "nopasswd" });
  const child = await open(hostOf(ann), { method: "sudo" });
  const bytes = binary();
  assertEquals((await converse(child, bytes)).stdout, bytes);
});

sudoTest("sudo: becomes any user, in its home, or in / where that cannot be entered", async () => {
  await using ann = await createAccount({ sudo: "nopasswd", shell: "/usr/sbin/nologin" });
  const name = ann.name;
  const options = { method: "sudo", argument: name, line: WHO };
  const { text } = await converse(await open(denoHost, options));
  assertEquals(text, `${name} ${name} ${name} ${ann.home} /bin/sh ${ann.home} none\n`);
  await Deno.chmod(ann.home, 0);
  assertStringIncludes((await converse(await open(denoHost, options))).text, " / none\n");
});

sudoTest("sudo: asks for a password by name and sends it nowhere else", async () => {
  await using ann = await createAccount({ sudo: "password", password: "correct horse" });
  const asked: PasswordQuestion[] = [];
  const options = { method: "sudo", passwords: ["correct horse"], asked };
  const child = await open(hostOf(ann), options);
  const { text, stderr } = await converse(child, new TextEncoder().encode("hello\n"));
  assertEquals([text, stderr], ["hello\n", ""]);
  assertEquals(asked, [{
    hop: "web1,sudo",
    prompt: `[sudo] password for ${ann.name}:`,
    attempt: 1,
  }]);
});

sudoTest("sudo: does not ask while sudo remembers", async () => {
  await using ann = await createAccount({ sudo: "password", password: "correct horse" });
  // Its default remembers for one session only, and each hop has its own.
  await using _ = await sudoers(ann, `Defaults:${ann.name} timestamp_type=global`);
  const asked: PasswordQuestion[] = [];
  for (const hello of ["one\n", "two\n"]) {
    const options = { method: "sudo", passwords: ["correct horse"], asked };
    const child = await open(hostOf(ann), options);
    assertEquals((await converse(child, new TextEncoder().encode(hello))).text, hello);
  }
  assertEquals(asked.length, 1);
});

sudoTest("sudo: asks again after a wrong password", async () => {
  await using ann = await createAccount({ sudo: "password", password: "correct horse" });
  const asked: PasswordQuestion[] = [];
  const child = await open(hostOf(ann), {
    method: "sudo",
    passwords: ["no", "correct horse"],
    asked,
  });
  assertEquals((await converse(child, new TextEncoder().encode("hello\n"))).text, "hello\n");
  assertEquals(asked.map(({ attempt }) => attempt), [1, 2]);
});

sudoTest("sudo: gives up after the third wrong password, and leaves nothing", async () => {
  await using ann = await createAccount({ sudo: "password", password: "correct horse" });
  const asked: PasswordQuestion[] = [];
  const error = await assertRejects(
    () => open(hostOf(ann), { method: "sudo", passwords: ["s3cret"], asked }),
    HoldfastError,
  );
  assertEquals([error.kind, error.message], ["auth", "web1,sudo: the password was refused"]);
  assertEquals(asked.length, 3);
});

sudoTest("sudo: says so when nobody can be asked", async () => {
  await using ann = await createAccount({ sudo: "password", password: "correct horse" });
  const error = await assertRejects(() => open(hostOf(ann), { method: "sudo" }), HoldfastError);
  assertEquals(error.kind, "auth");
  assertStringIncludes(error.message, "web1,sudo: it wants a password, and nobody can be asked");
  assertStringIncludes(error.message, "--password-command");
});

sudoTest("sudo: an unknown user and one who may not have errors of their own", async () => {
  await using ann = await createAccount({ sudo: "nopasswd" });
  await using bob = await createAccount({ password: "correct horse" });
  const options = { method: "sudo", passwords: ["correct horse"] };
  const unknown = await assertRejects(
    () => open(hostOf(ann), { ...options, argument: "hf-nobody" }),
    HoldfastError,
  );
  assertEquals([unknown.kind, unknown.message], [
    "not_found",
    "web1,sudo=hf-nobody: there is no such user",
  ]);
  const stranger = await assertRejects(() => open(hostOf(bob), options), HoldfastError);
  assertEquals(stranger.kind, "permission");
  await using eve = await createAccount({ password: "correct horse" });
  await using _ = await sudoers(eve, `${eve.name} ALL=(ALL) NOPASSWD: /bin/true`);
  const restricted = await assertRejects(() => open(hostOf(eve), options), HoldfastError);
  assertEquals(restricted.kind, "permission");
  assertStringIncludes(restricted.message, "web1,sudo: sudo may not do this (");
  // What sudo was to run is no news, and long.
  assertStringIncludes(restricted.message, "sh -c …'");
});

for (const sudo of ["nopasswd", "password"] as const) {
  sudoTest(`sudo: has a terminal where sudoers demand one (${sudo})`, async () => {
    await using ann = await createAccount({ sudo, password: "correct horse" });
    await using _ = await sudoers(ann, `Defaults:${ann.name} requiretty`);
    const asked: PasswordQuestion[] = [];
    const options = { method: "sudo", passwords: ["no", "correct horse"], asked };
    const child = await open(hostOf(ann), options);
    const bytes = binary();
    assertEquals((await converse(child, bytes)).stdout, bytes);
    assertEquals(asked.length, sudo === "password" ? 2 : 0);
  });
}

sudoTest("sudo: what it runs ends when the caller can only close its input", async () => {
  await using ann = await createAccount({ sudo: "nopasswd" });
  const child = await open(hostOf(ann), { method: "sudo", line: "echo $$;exec cat" });
  const pid = Number(new TextDecoder().decode((await child.stdout.read())!));
  child.kill("SIGKILL"); // takes sudo, whose real user is the caller, but nothing that is root's
  await child.exit;
  assertEquals(readProcess(pid)?.uid, 0);
  await child.stdin.close();
  child.stdout.cancel();
  child.stderr.cancel();
  await untilGone(pid);
});

sudoTest("sudo: a caller who goes away while it asks leaves nothing", async () => {
  await using ann = await createAccount({ sudo: "password", password: "correct horse" });
  const controller = new AbortController();
  const opening = openHop(hostOf(ann), { method: "sudo", label: "web1,sudo" }, {
    line: "cat",
    signal: controller.signal,
    ask() {
      controller.abort();
      return new Promise(() => {});
    },
  });
  const error = await assertRejects(() => opening, HoldfastError);
  assertEquals(error.kind, "cancelled");
});
