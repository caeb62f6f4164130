/** Hops behind a host without a JavaScript runtime: the tool of each is composed into every command. */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

test.needs("sshd", "namespaces", "sudo")("direct hops: sudo without a runtime", async (t) => {
  await using sshd = await startSshd();
  await using account = await createAccount({ sudo: "nopasswd" });
  await using workspace = await Workspace.create();
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  const exec = async (...args: string[]) => {
    const { code, stdout, stderr } = await workspace.run("exec", args);
    return { code, stdout, stderr };
  };
  const fine = (stdout: string) => ({ code: 0, stdout, stderr: "" });

  await t.step("as root, in its home", async () => {
    assertEquals(await exec("web1,sudo", "id -un; pwd; echo $HOME"), fine("root\n/root\n/root\n"));
  });

  await t.step("chains", async () => {
    const target = `web1,sudo,local,sudo=${account.name},local`;
    assertEquals(await exec(target, "id -un; exit 7"), {
      ...fine(`${account.name}\n`),
      code: 7,
    });
  });

  await t.step("a hop that cannot be opened is named", async () => {
    const { code, stdout, stderr } = await exec("web1,sudo=nobody-such", "true");
    assertEquals([code, stdout], [255, ""]);
    assertMatch(stderr, /^holdfast: web1,sudo=nobody-such: there is no such user\n$/);
    assert(true);
  });
});
