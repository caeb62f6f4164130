/** What the daemon weighs: with many hosts, and while somebody reads an output slowly. */

import { residentMemory } from "../../tests/support/processes.ts";
import type { Measured, Row } from "./row.ts";

const HOSTS = 50;
const MB = 1e6;
/** The slow reader's output in bytes, and how much of it is read per tenth of a second. */
const OUTPUT = 10 * 2 ** 30;
const SIP = 0.4 * MB;

export const memoryRows: Row[] = [
  {
    name: "daemon_rss_50_hosts",
    unit: "MB",
    targets: [{ atMost: 120 }],
    async measure(world): Promise<Measured> {
      const { client, stop } = await world.seat();
      const { pid } = await client.ask({ do: "status" }) as { pid: number };
      const empty = residentMemory(pid) / MB;
      const loginsBefore = await world.sshd.logins();
      let peak = 0;
      for (let index = 0; index < HOSTS; index++) {
        const { name: target } = await world.place();
        await client.ask({ do: "open", target, configFile: world.config });
        await client.ask({ do: "run", target, command: "true" });
        peak = Math.max(peak, residentMemory(pid) / MB);
      }
      const logins = await world.sshd.logins() - loginsBefore;
      const { connections } = await client.ask({ do: "status" }) as { connections: unknown[] };
      if (logins !== HOSTS || connections.length !== HOSTS) {
        throw new Error(`${connections.length} connections with ${logins} logins are not ${HOSTS}`);
      }
      await pause(2000);
      const resident = residentMemory(pid) / MB;
      await stop();
      return {
        values: { holdfast: resident },
        notes: [`${empty.toFixed(0)} MB before the first host, at most ${peak.toFixed(0)} MB`],
        failed: false,
      };
    },
  },
  {
    name: "slow_reader_growth",
    unit: "MB",
    targets: [{ atMost: 32 }],
    async measure(world, { full, quick }): Promise<Measured> {
      const { name: target } = await world.place();
      const seat = await world.seat();
      const { client } = seat;
      await client.ask({ do: "open", target, configFile: world.config });
      await client.ask({ do: "run", target, command: "true" });
      const { pid } = await client.ask({ do: "status" }) as { pid: number };
      await pause(500);
      const before = residentMemory(pid);
      const command = world.holdfast(
        seat,
        "exec",
        "-n",
        target,
        "--",
        `head -c ${OUTPUT} /dev/zero`,
      );
      const streams = { stdin: "null", stdout: "piped", stderr: "inherit" } as const;
      const child = world.processes.spawn(command, streams);
      const reader = child.stdout.getReader({ mode: "byob" });
      let buffer = new ArrayBuffer(64 * 1024);
      let received = 0;
      let most = before;
      const start = performance.now();
      const end = start + (full ? Infinity : quick ? 4000 : 10_000);
      while (performance.now() < end) {
        const goal = received + SIP;
        let done = false;
        while (received < goal && !done) {
          const result = await reader.read(new Uint8Array(buffer));
          done = result.done;
          if (result.value) {
            received += result.value.length;
            buffer = result.value.buffer;
          }
        }
        most = Math.max(most, residentMemory(pid));
        if (done) break;
        // Slow for the first seconds, then as fast as it comes when all is to be read.
        if (!full || performance.now() - start < 10_000) await pause(100);
      }
      const seconds = (performance.now() - start) / 1000;
      await world.processes.kill(child);
      await reader.cancel().catch(() => {});
      const isShort = full && received !== OUTPUT;
      await seat.stop();
      return {
        values: { holdfast: (most - before) / MB },
        notes: [
          `read ${(received / MB).toFixed(0)} MB in ${seconds.toFixed(1)} s, ` +
          `daemon at ${(before / MB).toFixed(0)} MB before`,
        ],
        failed: isShort || received === 0,
      };
    },
  },
];

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
