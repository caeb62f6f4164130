/** Banners, messages of the day and profiles that speak: they may not harm a command, a file or a relay. */
import { assert, assertEquals } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";
import { findExecutable, type Runtime } from "../support/tools.ts";

/** Where each shell reads what it runs before a command; dash has no such place but the login's. */
const PROFILES: Record<string, string[]> = {
  bash: [".bashrc", ".bash_profile", ".profile"],
  dash: [".profile"],
  zsh: [".zshenv", ".zprofile", ".zshrc"],
  tcsh: [".tcshrc", ".login"],
  fish: [".config/fish/config.fish"],
};

/** Text, binary, what looks like our own greeting, more than a pipe holds, on both outputs. */
const NOISE = "printf 'Last login: never\\r\\n\\377\\000HOLD\\r\\033[2J'; seq 1 20000; " +
  "sh -c 'echo complaint >&2'\n";

for (const runtime of ["deno", "none"] as const) {
  const runtimes: Runtime[] = runtime === "none" ? [] : [runtime];
  const what = runtime === "none" ? "no runtime" : runtime;
  test.needs("sshd", "namespaces")(`noise: does no harm on a host with ${what}`, async (t) => {
    await using sshd = await startSshd({
      banner: "Authorised use only\n\x1b[31m\xff\n".repeat(100),
      config: ["PrintMotd yes", "PrintLastLog yes"],
    });
    for (const [name, files] of Object.entries(PROFILES)) {
      const shell = findExecutable(name);
      await t.step({
        name: shell ? name : `${name} (skipped: not installed)`,
        ignore: !shell,
        async fn() {
          await using account = await createAccount({ shell, runtimes });
          for (const file of files) await account.write(file, NOISE);
          await using workspace = await Workspace.create();
          await workspace.addHost("target", { user: account.name, port: sshd.port });
          await workspace.trust(sshd);

          // What a shell says before a command belongs to its output, as under ssh; the banner does not.
          for (const args of [[], ["--env", "A=1"], []]) {
            const line = "echo fine; sh -c 'echo bad >&2'; exit 3";
            const { code, stdout, stderr } = await workspace.run("exec", [...args, "target", line]);
            assertEquals([code, /fine\n$/.test(stdout), /bad\n$/.test(stderr)], [3, true, true]);
            assert(!/Authorised/.test(stdout + stderr));
          }
          const status = JSON.parse((await workspace.run("status", ["--json"])).stdout);
          assertEquals(status.connections[0].runtime, runtime === "none" ? null : runtime);

          const content = crypto.getRandomValues(new Uint8Array(60_000));
          await Deno.writeFile(workspace.join("file"), content);
          const put = await workspace.run("put", ["target", workspace.join("file"), "copy"]);
          assertEquals([put.code, put.stdout, put.stderr], [0, "", ""]);
          const fetched = await workspace.run("fetch", ["target", "copy", "-"]);
          assertEquals([fetched.code, fetched.stderr], [0, ""]);
          assertEquals(fetched.stdoutBytes, content);

          const stdin = `PUT: ${
            workspace.join("file")
          } relayed\nEXEC: cmp copy relayed && echo same\n`;
          const relay = await workspace.run("client", ["--json", "target"], { stdin });
          const answers = relay.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
          assertEquals(answers.map(({ rc, error }) => [rc, error]), [[0, null], [0, null]]);
          assert(answers[1].stdout.endsWith("same\n"));
        },
      });
    }
  });
}
