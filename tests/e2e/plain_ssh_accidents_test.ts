/** The system's own ssh over a held connection when that ends in the middle, and which sockets the daemon offers to whom. */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { testIdentity } from "../support/identity.ts";
import { killProcesses, readProcess, waitUntilGone } from "../support/processes.ts";
import { test } from "../support/test.ts";
import { inWorld, until, type World } from "./plain_ssh_world.ts";

const hosts = test.needs("linux", "sshd", "ssh", "namespaces", "bash");

const ENDINGS: Record<string, (world: World) => Promise<unknown>> = {
  "disconnect": ({ workspace }) => workspace.run("disconnect", ["-F", workspace.config, "web1"]),
  "stop": ({ workspace }) => workspace.run("stop"),
  "the daemon killed": async ({ daemon }) => killProcesses([readProcess(await daemon())!]),
  "the connection cut": ({ proxy }) => proxy.cut(),
};

const SILENT = ["the daemon killed", "the connection cut"];

for (const runtime of ["deno", "none"] as const) {
  hosts(
    `plain ssh: ended in the middle, on ${runtime}`,
    (t) =>
      inWorld({ runtime }, async (world) => {
        const { bash, account, workspace, sshd } = world;
        for (const [what, end] of Object.entries(ENDINGS)) {
          await t.step(what, async () => {
            assertEquals((await bash("rm -f started; ssh web1 'rm -f started'")).code, 0);
            assertEquals((await workspace.run("exec", ["web1", "true"])).code, 0);
            const logins = await sshd.logins();
            // Where no core is, nobody there sees that the connection is gone but who reads from it.
            const last = runtime === "none" && SILENT.includes(what)
              ? "cat > /dev/null"
              : "sleep 1000";
            const running = bash(`ssh web1 'echo out; touch started; ${last}' < /dev/zero`);
            await until(() => exists(`${account.home}/started`));
            assertEquals(await sshd.logins(), logins);
            await end(world);
            const { code, stdout, stderr } = await running;
            assertEquals([code, stdout.replace("out\n", "")], [255, ""]);
            // ssh has no word for a daemon that is gone.
            assertMatch(stderr, what === "the daemon killed" ? /^$/ : /^holdfast: [^\n]+\n$/);
            const left = () =>
              account.processes().filter(({ command }) => /^(sleep|cat)/.test(command));
            assertEquals(await waitUntilGone(left, { deadline: 15_000 }), []);
            // It heals: at once it works, and then it is held again.
            const next = await bash("ssh web1 'echo again; exit 4'");
            assertEquals([next.code, next.stdout], [4, "again\n"]);
            const held = await world.overHeld("ssh web1 'echo held; exit 5'");
            assertEquals(held, { code: 5, stdout: "held\n", stderr: "" });
          });
        }
      }),
  );
}

hosts(
  "plain ssh: MaxSessions 1 on a host without a runtime makes them wait",
  () =>
    inWorld({ runtime: "none", maxSessions: 1 }, async ({ overHeld, bash }) => {
      const { stdout, stderr } = await overHeld(
        "for i in {1..6}; do ssh web1 'echo here; sleep 0.1; exit 3' & all+=($!); done; " +
          "s=0; for j in ${all[@]}; do wait $j; s=$((s+$?)); done; echo status $s",
      );
      assertEquals([stdout, stderr], ["here\n".repeat(6) + "status 18\n", ""]);
      // One that waits and is given up is not waited for.
      const { code } = await bash(
        "ssh web1 'touch first; sleep 1' & until ssh web1 test -e first; do :; done; " +
          "ssh web1 touch second & sleep 0.2; kill $!; wait; ssh web1 true",
      );
      assertEquals(code, 0);
    }),
);

hosts(
  "plain ssh: the sockets are the user's alone, and go with the daemon",
  () =>
    inWorld({ runtime: "deno" }, async ({ workspace, bash }) => {
      const dir = `${workspace.dir}/ssh`;
      assertEquals((await Deno.stat(dir)).mode! & 0o777, 0o700);
      const sockets = [...Deno.readDirSync(dir)].filter(({ name }) => name.length === 40);
      assertEquals(sockets.length, 1);
      assertEquals((await Deno.stat(`${dir}/${sockets[0].name}`)).mode! & 0o777, 0o600);
      await workspace.run("disconnect", ["-F", workspace.config, "web1"]);
      await until(() => !exists(`${dir}/${sockets[0].name}`));
      assertEquals((await bash("ssh web1 exit 3; ssh web1 exit 4")).code, 4);
      assertEquals((await workspace.run("stop")).code, 0);
      assertEquals(exists(dir), false);
    }),
);

hosts(
  "plain ssh: what decides a connection keeps it from others",
  () =>
    inWorld({ runtime: "deno", hold: false }, async ({ workspace }) => {
      const sockets = () =>
        exists(`${workspace.dir}/ssh`)
          ? [...Deno.readDirSync(`${workspace.dir}/ssh`)].filter(({ name }) => name.length === 40)
          : [];
      const { path } = await testIdentity();
      for (const words of [["-A"], ["-i", path], ["-o", `IdentityFile=${path}`]]) {
        const { code, stderr } = await workspace.run("ssh", [...words, "web1", "true"]);
        assertEquals([code, sockets()], [0, []], words.join(" ") + stderr);
      }
      assertEquals((await workspace.run("ssh", ["web1", "true"])).code, 0);
      await until(() => sockets().length === 1);
    }),
);

hosts("plain ssh: forwards that ssh_config asks for are made", () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const lines = [`LocalForward 127.0.0.1:${port} localhost:1`, "ExitOnForwardFailure yes"];
  return inWorld({ runtime: "deno", lines }, async ({ bash }) => {
    const { code, stdout, stderr } = await bash(
      `ssh web1 echo good && exec 3<>/dev/tcp/127.0.0.1/${port}; ssh web1 exit 6`,
    );
    assertEquals([code, stdout], [6, "good\n"]);
    assert(!/mux/.test(stderr), stderr);
  });
});

hosts(
  "plain ssh: two that ssh cannot tell apart do not share a connection",
  () =>
    inWorld({ runtime: "deno" }, async ({ workspace, sshd, account }) => {
      // The same host, port and user, and another way there.
      const way =
        `ProxyCommand bash -c 'exec 3<>/dev/tcp/127.0.0.1/${sshd.port}; cat <&3 & cat >&3'`;
      const port = Number(/Port (\d+)/.exec(await Deno.readTextFile(workspace.config))![1]);
      await workspace.addHost("web2", { user: account.name, port, config: [way] });
      await workspace.run("setup", ["ssh-config", "--write", "-F", workspace.config, "web2"]);
      const names = () => [...Deno.readDirSync(`${workspace.dir}/ssh/to${workspace.config}`)];
      await until(() => names().length === 1);
      assertEquals((await workspace.run("exec", ["web2", "true"])).code, 0);
      assertEquals(names().map(({ name }) => name), ["web1"]);
      await workspace.run("disconnect", ["-F", workspace.config, "web1"]);
      await until(() => names().length === 0);
      assertEquals((await workspace.run("exec", ["web2", "true"])).code, 0);
      await until(() => names().length === 1);
      assertEquals(names().map(({ name }) => name), ["web2"]);
    }),
);

hosts(
  "plain ssh: after -O stop sessions go on, and others get a connection anew",
  () =>
    inWorld({ runtime: "deno" }, async ({ bash, account, overHeld, workspace }) => {
      const first = bash("ssh web1 'touch started; until [ -e go ]; do sleep 0.05; done; exit 9'");
      await until(() => exists(`${account.home}/started`));
      assertEquals((await bash("ssh -O stop web1")).code, 0);
      assertEquals((await workspace.run("exec", ["web1", "true"])).code, 0);
      // The old one ends, and the new one stays where ssh finds it.
      assertEquals((await overHeld("ssh web1 'touch go; exit 4'")).code, 4);
      assertEquals((await first).code, 9);
      const status = async () => JSON.parse((await workspace.run("status", ["--json"])).stdout);
      await until(async () => (await status()).connections.length === 1);
      assertEquals((await overHeld("ssh web1 exit 5")).code, 5);
    }),
);

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
