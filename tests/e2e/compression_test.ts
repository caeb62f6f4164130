/** `Compression` of ssh_config, and `-C`: a wish that is not granted, and does no harm. */
import { assertEquals } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

test.needs("sshd", "namespaces")(
  "compression: who wishes it is served, over one login",
  async () => {
    await using sshd = await startSshd({ config: ["Compression yes"] });
    await using account = await createAccount({ runtimes: ["deno"] });
    await using workspace = await Workspace.create();
    await workspace.addHost("web1", {
      user: account.name,
      port: sshd.port,
      config: ["Compression yes"],
    });
    await workspace.trust(sshd);
    const ways: [string, string[]][] = [
      ["exec", ["web1", "echo on"]],
      ["ssh", ["-C", "web1", "echo on"]],
      ["ssh", ["-o", "Compression=no", "web1", "echo on"]],
    ];
    for (const [subcommand, args] of ways) {
      const { code, stdout, stderr } = await workspace.run(subcommand, args);
      assertEquals([code, stdout, stderr], [0, "on\n", ""]);
    }
    const { connections } = JSON.parse((await workspace.run("status", ["--json"])).stdout);
    assertEquals(connections.length, 1);
  },
);
