/** The connection method su against the real one, and against one that insists on a terminal. */

import { assertEquals, assertRejects, assertStringIncludes } from "../support/assert.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import type { PasswordQuestion } from "../../lib/parent/tool_talk.ts";
import { createAccount } from "../support/accounts.ts";
import { readProcess } from "../support/processes.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { binary, converse, hostOf, open, stub, untilGone } from "./hop_fixture.ts";

const suTest = test.needs("root", "su", "setpriv");
const WHO = 'echo "$(id -un) $USER $LOGNAME $HOME $SHELL $PWD ${LANGUAGE-none}"';
/** Would show, ask and hang in a login shell. */
const PROFILE = "echo noise; printf 'More noise: ' >&2; read x; sleep 1000";

suTest("su: as root without a password, becomes the user in everything", async () => {
  await using ann = await createAccount({ profile: PROFILE });
  const child = await open(denoHost, { method: "su", argument: ann.name, line: WHO });
  const { text, stderr } = await converse(child);
  const { name, home } = ann;
  assertEquals(text, `${name} ${name} ${name} ${home} /bin/bash ${home} none\n`);
  assertEquals(stderr, "");
});

suTest("su: root becomes an account that has no login shell", async () => {
  await using ann = await createAccount({ shell: "/usr/sbin/nologin" });
  const child = await open(denoHost, { method: "su", argument: ann.name, line: WHO });
  assertStringIncludes((await converse(child)).text, `${ann.home} /bin/sh ${ann.home}`);
});

for (const shell of ["/bin/bash", "/bin/sh"]) {
  suTest(`su: sends the password, and then every byte (${shell})`, async () => {
    await using ann = await createAccount();
    await using bob = await createAccount({ password: "correct horse", shell, profile: PROFILE });
    const asked: PasswordQuestion[] = [];
    const options = { method: "su", argument: bob.name, passwords: ["correct horse"], asked };
    const child = await open(hostOf(ann, { LANG: "de_DE.UTF-8" }), options);
    const bytes = binary();
    const { stdout, stderr } = await converse(child, bytes);
    assertEquals(stdout, bytes);
    assertEquals(stderr, "");
    assertEquals(asked, [{ hop: `web1,su=${bob.name}`, prompt: "Password:", attempt: 1 }]);
  });
}

suTest(
  "su: a wrong password, an unknown user and nobody to ask have errors of their own",
  async () => {
    await using ann = await createAccount();
    await using bob = await createAccount({ password: "correct horse" });
    const failing = async (argument: string, passwords: string[] = []) => {
      const options = { method: "su", argument, passwords };
      const error = await assertRejects(() => open(hostOf(ann), options), HoldfastError);
      return [error.kind, error.message];
    };
    assertEquals(await failing(bob.name, ["s3cret"]), [
      "auth",
      `web1,su=${bob.name}: the password was refused`,
    ]);
    assertEquals(await failing("hf-nobody", ["s3cret"]), [
      "not_found",
      "web1,su=hf-nobody: there is no such user",
    ]);
    assertEquals((await failing(bob.name))[0], "auth");
  },
);

suTest("su: an account without a shell is refused to others than root", async () => {
  await using ann = await createAccount();
  await using bob = await createAccount({ password: "correct horse", shell: "/usr/sbin/nologin" });
  const options = { method: "su", argument: bob.name, passwords: ["correct horse"] };
  const error = await assertRejects(() => open(hostOf(ann), options), HoldfastError);
  assertEquals(error.kind, "permission");
  assertStringIncludes(error.message, `web1,su=${bob.name}: su may not do this (`);
});

suTest("su: what it runs ends with its input, also when su was killed", async () => {
  await using ann = await createAccount({ mayLeaveProcesses: true });
  const options = { method: "su", argument: ann.name, line: "echo $$;exec cat" };
  const child = await open(denoHost, options);
  const pid = Number(new TextDecoder().decode((await child.stdout.read())!));
  child.kill("SIGKILL");
  await child.exit;
  assertEquals(readProcess(pid)?.uid, ann.uid); // in a session of its own
  await child.stdin.close();
  child.stdout.cancel();
  child.stderr.cancel();
  await untilGone(pid);
});

test.needs("linux", "script")("su: has a terminal where it insists on one", async () => {
  await using bin = await tempDir();
  const asked: PasswordQuestion[] = [];
  const options = { method: "su", argument: "bob", asked, passwords: ["correct horse"] };
  const host = await stub(bin, "su", {
    before: `[ -t 0 ]||{ echo "su: must be run from a terminal" >&2;exit 1;}
      printf "Password: " >&2;read p;[ "$p" = "correct horse" ]||{ echo "su: no" >&2;exit 1;}`,
    words: ["-s", "/bin/sh", "-c"],
    then: 'setsid -w sh -c "$1"',
  });
  const child = await open(host, options);
  const bytes = binary();
  assertEquals((await converse(child, bytes)).stdout, bytes);
  assertEquals(asked.map(({ prompt }) => prompt), ["Password:"]);
  const wrong = await assertRejects(
    () => open(host, { ...options, passwords: ["s3cret"] }),
    HoldfastError,
  );
  assertEquals([wrong.kind, wrong.message], ["auth", "web1,su=bob: the password was refused"]);
});
