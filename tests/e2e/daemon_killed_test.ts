/**
 * A daemon killed with -9 while it reaches a host: after every part of the conversation, in either direction, from the
 * server's first line to the core's greeting. The call that waits must fail by name, the next one must heal, and
 * nothing may stay on the host.
 */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { type Direction, startDelayProxy } from "../support/delay_proxy.ts";
import { Workspace } from "../support/holdfast.ts";
import {
  describeProcesses,
  killProcesses,
  readProcess,
  waitUntilGone,
} from "../support/processes.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

/** How many parts of each direction's bytes are let through, one after the other. */
const PARTS = { toClient: 16, toServer: 9 };

test.needs("sshd", "namespaces")(
  "daemon: killed at every stage of reaching a host, the call fails, the next heals, nothing stays",
  async (t) => {
    await using sshd = await startSshd();
    await using account = await createAccount({ runtimes: ["deno"] });
    await using proxy = startDelayProxy({ port: sshd.port });
    await using workspace = await Workspace.create();
    await workspace.addHost("target", { user: account.name, port: proxy.port });
    await workspace.trust(sshd, { port: proxy.port });
    await account.write("file", "old");
    // `put` waits for the core, unlike a first command.
    const put = () => workspace.run("put", ["target", "-", "file"], { stdin: "new" });
    const start = async () => {
      const { stdout } = await workspace.run("daemon");
      return Number(/pid (\d+)/.exec(stdout)![1]);
    };
    const kill = async (pid: number) => {
      await killProcesses([readProcess(pid)!]);
      return await waitUntilGone(() => account.processes());
    };

    const pid = await start();
    assertEquals((await put()).code, 0);
    const whole = { toServer: proxy.bytesToServer, toClient: proxy.bytesToClient };
    assertEquals(describeProcesses(await kill(pid)), "");

    const stages = new Set<string>();
    const killAfter = (direction: Direction, size: number) => async () => {
      await account.write("file", "old");
      const from = (await sshd.log()).length;
      const pid = await start();
      const frozen = proxy.freezeAfter(direction, size);
      const waiting = put();
      await frozen;
      const log = (await sshd.log()).slice(from);
      stages.add(
        log.includes("Starting session")
          ? "bootstrap"
          : log.includes("Accepted publickey")
          ? "authenticated"
          : log.includes("Accepted key")
          ? "authentication"
          : "key exchange",
      );
      await killProcesses([readProcess(pid)!]);
      const { code, stdout, stderr } = await waiting;
      proxy.thaw();
      assertEquals([code, stdout], [255, ""]);
      assertMatch(stderr, /^holdfast: .*the daemon went away.*\n$/);
      assertEquals(describeProcesses(await waitUntilGone(() => account.processes())), "");
      // All may have been sent by then, and only the answers be held back: the file is one or the other, and whole.
      const content = await Deno.readTextFile(`${account.home}/file`);
      assert(content === "old" || (content === "new" && direction === "toClient"), content);

      assertEquals((await put()).code, 0);
      assertEquals(await Deno.readTextFile(`${account.home}/file`), "new");
      const names = [...Deno.readDirSync(account.home)].map(({ name }) => name);
      assert(!names.some((name) => name.includes("holdfast")), names.join(" "));
      const next = JSON.parse((await workspace.run("status", ["--json"])).stdout).pid;
      assertEquals(describeProcesses(await kill(next)), "");
    };
    for (const direction of ["toClient", "toServer"] as Direction[]) {
      const parts = PARTS[direction];
      for (let part = 0; part < parts; part++) {
        // The last part ends before the answer that the transfer is done.
        const size = Math.floor(whole[direction] * part / parts * 0.95) + 1;
        await t.step(`${direction}, after part ${part} of ${parts}`, killAfter(direction, size));
      }
    }
    // Authentication is a few packets only: look closer where it must be.
    for (let size = 1400; !stages.has("authentication") && size < 2000; size += 40) {
      await t.step(`toClient, after ${size} bytes`, killAfter("toClient", size));
    }
    await t.step("in the middle of commands, one of which ignores HUP and TERM", async () => {
      const pid = await start();
      const lines = [
        "echo ready; exec sleep 1000",
        "trap '' HUP TERM; echo ready; exec sleep 1000",
      ];
      const calls = [];
      for (const line of lines) {
        await workspace.run("fetch", ["target", "file", "-"]); // the core is there
        const process = await workspace.spawn("exec", ["target", line]);
        const reader = process.stdout.getReader();
        await reader.read();
        calls.push({ process, reader });
      }
      await killProcesses([readProcess(pid)!]);
      for (const { process, reader } of calls) {
        const stderr = new Response(process.stderr).text();
        assertEquals((await process.status).code, 255);
        assertMatch(await stderr, /^holdfast: .*the daemon went away.*\n$/);
        await Promise.all([reader.cancel(), process.stdin.abort().catch(() => {})]);
      }
      const gone = await waitUntilGone(() => account.processes(), { deadline: 20_000 });
      assertEquals(describeProcesses(gone), "");
    });
    for (const stage of ["key exchange", "authentication", "bootstrap"]) {
      assert(stages.has(stage), `never killed during ${stage}: ${[...stages].join(", ")}`);
    }
  },
);
