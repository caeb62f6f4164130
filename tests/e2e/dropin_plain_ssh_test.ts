/** ssh itself, unmodified, as the client of a connection that the daemon holds: where it must not differ from alone. */
import { createAccount } from "../support/accounts.ts";
import { assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { playCommand } from "../support/terminal.ts";
import { test } from "../support/test.ts";

test.needs("sshd", "ssh", "python3", "namespaces")(
  "plain ssh: over a held connection as alone",
  async (t) => {
    await using sshd = await startSshd();
    await using account = await createAccount({ runtimes: ["deno"] });
    await using workspace = await Workspace.create();
    await workspace.addHost("web1", { user: account.name, port: sshd.port });
    await workspace.trust(sshd);
    for (let i = 0; i < 2; i++) await workspace.run("exec", ["web1", "true"]);
    const env = await workspace.env();
    const words = ["ssh", "-F", workspace.config, "-S", `${workspace.dir}/ssh/%C`];
    const bash = async (line: string) => {
      const args = ["-c", line, ...words];
      const { code, stdout, stderr } = await new Deno.Command("bash", {
        args,
        env,
        clearEnv: true,
        stdin: "null",
      }).output();
      const [out, said] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      return { code, out, said };
    };
    assertMatch((await bash('"$0" "$@" -O check web1')).said, /^Master running/);

    await t.step("a command's bytes arrive as they are, UTF-8 or not", async () => {
      const line = `"$0" "$@" web1 $'printf %s "\\xc3\\xa9\\xff" | od -An -tx1'`;
      const { code, out, said } = await bash(line);
      assertEquals([code, out], [0, " c3 a9 ff\n"]);
      // It then logs in by itself.
      assertMatch(said, /^mux_client_request_session: .*not UTF-8\r\n$/);
      assertEquals(await sshd.logins(), 2);
    });

    await t.step("who leaves a terminal by ~. hears no complaint", async () => {
      const { status, shown, restored } = await playCommand(
        [...words, "-t", "web1", "echo go; exec cat"],
        [["go", "type", "\r~."]],
        { ...env, TERM: "xterm" },
      );
      assertStringIncludes(shown, "Shared connection to 127.0.0.1 closed.");
      assertEquals([status, restored, shown.includes("holdfast")], [255, true, false], shown);
    });
  },
);
