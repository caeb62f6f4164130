/** The connection method doas against OpenDoas, which reads passwords from a terminal only. */

import { assertEquals, assertRejects } from "../support/assert.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import type { PasswordQuestion } from "../../lib/parent/tool_talk.ts";
import { type Account, createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { processesCarrying, readProcess } from "../support/processes.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";
import { binary, converse, hostOf, open, untilGone } from "./hop_fixture.ts";
import { REMOTE, type RemoteFunctions, routerIn } from "../e2e/calls_fixture.ts";

const doasTest = test.needs("root", "doas", "script", "setpriv");
const CONFIGURATION = "/etc/doas.conf";

/** Lets `account` become anybody, until disposed of. */
async function permit(account: Account, how: string): Promise<AsyncDisposable> {
  const before = await Deno.readTextFile(CONFIGURATION).catch(() => undefined);
  await Deno.writeTextFile(CONFIGURATION, `${before ?? ""}permit ${how} ${account.name}\n`);
  return {
    async [Symbol.asyncDispose]() {
      if (before === undefined) await Deno.remove(CONFIGURATION);
      else await Deno.writeTextFile(CONFIGURATION, before);
    },
  };
}

doasTest("doas: without a password, opens a shell that is the user's in everything", async () => {
  await using ann = await createAccount();
  await using bob = await createAccount();
  await using _ = await permit(ann, "nopass");
  const line = 'echo "$(id -un) $USER $LOGNAME $HOME $SHELL $PWD"';
  const child = await open(hostOf(ann), { method: "doas", argument: bob.name, line });
  const { name, home } = bob;
  assertEquals(
    (await converse(child)).text,
    `${name} ${name} ${name} ${home} /bin/bash ${home}\n`,
  );
});

doasTest("doas: types the password on a terminal, and then passes every byte", async () => {
  await using ann = await createAccount({ password: "correct horse" });
  await using _ = await permit(ann, "");
  const asked: PasswordQuestion[] = [];
  const options = { method: "doas", passwords: ["correct horse"], asked, line: "id -un;exec cat" };
  const child = await open(hostOf(ann), options);
  const bytes = binary();
  const { stdout, stderr } = await converse(child, bytes);
  assertEquals(new TextDecoder().decode(stdout.subarray(0, 5)), "root\n");
  assertEquals(stdout.subarray(5), bytes);
  assertEquals(stderr.includes("correct horse"), false);
  assertEquals(asked.length, 1);
  assertEquals(asked[0].prompt.startsWith(`doas (${ann.name}@`), true);
});

doasTest(
  "doas: a wrong password, an unknown user and no rule have errors of their own",
  async () => {
    await using ann = await createAccount({ password: "correct horse" });
    await using bob = await createAccount();
    await using _ = await permit(ann, "");
    const failing = async (account: Account, argument?: string) => {
      const options = { method: "doas", argument, passwords: ["s3cret"] };
      const error = await assertRejects(() => open(hostOf(account), options), HoldfastError);
      return [error.kind, error.message];
    };
    assertEquals(await failing(ann), ["auth", "web1,doas: the password was refused"]);
    assertEquals(await failing(ann, "hf-nobody"), [
      "not_found",
      "web1,doas=hf-nobody: there is no such user",
    ]);
    assertEquals(await failing(bob), [
      "permission",
      "web1,doas: doas may not do this (doas: Operation not permitted)",
    ]);
  },
);

doasTest("doas: what it runs behind a terminal ends with its input", async () => {
  await using ann = await createAccount({ password: "correct horse" });
  await using _ = await permit(ann, "");
  const options = { method: "doas", passwords: ["correct horse"], line: "echo $$;exec cat" };
  const child = await open(hostOf(ann), options);
  const pid = Number(new TextDecoder().decode((await child.stdout.read())!));
  assertEquals(readProcess(pid)?.uid, 0);
  await child.stdin.close();
  child.stdout.cancel();
  child.stderr.cancel();
  await child.exit;
  await untilGone(pid);
});

// Here, because two files must not change the configuration at one time.
test.needs("root", "doas", "script", "sshd", "namespaces")(
  "router.doas: a program gives the password, and it is nowhere to be seen",
  async () => {
    await using sshd = await startSshd();
    await using ann = await createAccount({ runtimes: ["deno"], password: "correct horse" });
    await Deno.chmod(ann.home, 0o755);
    await using bob = await createAccount();
    await using _ = await permit(ann, "");
    await using workspace = await Workspace.create();
    await workspace.addHost("web1", { user: ann.name, port: sshd.port });
    await workspace.trust(sshd);
    await using router = await routerIn(workspace);
    const web = await router.ssh({ host: "web1", configFile: workspace.config });
    for (const [user, uid] of [[undefined, 0], [bob.name, bob.uid]] as const) {
      const context = await router.doas({ via: web, user, password: "correct horse" });
      const remote = context.module<RemoteFunctions>(REMOTE);
      assertEquals((await remote.whoami()).uid, uid);
      const bytes = binary(200_000);
      assertEquals(await remote.echo(bytes), [bytes]);
      assertEquals(processesCarrying("correct horse"), []);
    }
    const error = await assertRejects(
      () => router.doas({ via: web, password: "s3cret" }),
      HoldfastError,
    );
    assertEquals([error.kind, error.message.includes("s3cret")], ["auth", false]);
    const log = await Deno.readTextFile(`${workspace.dir}/log`);
    assertEquals(/correct horse|s3cret/.test(log), false);
  },
);
