/** Functions called in contexts, and contexts opened behind others; the peer is Mitogen. */

import { coreSource } from "../../lib/sources/core_source.ts";
import { contextTitle, firstStage } from "../../lib/parent/first_stage.ts";
import type { LineProcess } from "./line_process.ts";
import { mitogenProcess } from "./mitogen.ts";
import { alternate, type Measured, type Row, type RowOptions } from "./row.ts";
import type { World } from "./world.ts";

/** Calls one after another that make one figure: what matters is a program that calls, not one that wakes up. */
const CALLS = 20;
/** Contexts below the first, in the row that calls through four hops. */
const BELOW = 3;
const FLEET = 20;

export const callRows: Row[] = [
  {
    name: "call_empty",
    unit: "ms",
    targets: [{ peer: "mitogen", atMost: 0.5 }],
    measure: (world, options) => calls(world, { ...options, below: 0 }),
  },
  {
    name: "call_nested4",
    unit: "ms",
    targets: [{ peer: "mitogen", atMost: 0.5 }],
    measure: (world, options) => calls(world, { ...options, below: BELOW }),
  },
  {
    name: "nested_ready",
    unit: "ms",
    targets: [{ peer: "mitogen", atMost: 0.4 }],
    async measure(world, { quick }) {
      const { place, client, configFile } = await ours(world);
      const target = `${place.name},local`;
      return await alternate({
        holdfast: {
          before: () => client.ask({ do: "disconnect", target, configFile }).then(settle),
          run: () => client.time({ do: "context", target, configFile }),
        },
        mitogen: await peer(world, (process) => ({
          before: settle,
          run: () => process.time({ do: "nest" }),
        })),
      }, { runs: quick ? 5 : 15, warmups: 2 });
    },
  },
  {
    name: "context_bytes",
    unit: "B",
    targets: [{ atMost: 12 * 1024 }],
    async measure(world) {
      const { place, client, configFile } = await ours(world);
      const { name: target } = place;
      await client.ask({ do: "context", target, configFile });
      const sent = async () => {
        const { connections } = await client.ask({ do: "status" }) as {
          connections: { target: string; sent: number }[];
        };
        return connections.find((each) => each.target === target)!.sent;
      };
      await client.ask({ do: "ping", target });
      const frames = await sent();
      await client.ask({ do: "call", target, count: 1 });
      const called = await sent();
      const core = await coreSource();
      const title = contextTitle({ name: target, owner: `user@host:12345` });
      const line = firstStage(core, { title }).length;
      const parts = { mitogen: await peer(world, (process) => process) };
      const mitogen = typeof parts.mitogen === "string"
        ? null
        : (await parts.mitogen.ask({ do: "bytes" })).bytes as number;
      return {
        values: { holdfast: line + core.bytes.length + frames, mitogen },
        notes: [
          `command line ${line}, core ${core.bytes.length}, frames ${frames}; mitogen's are up to its first function call, ` +
          `which takes ${line + core.bytes.length + called} here`,
        ],
        failed: false,
      };
    },
  },
  {
    name: "open_20_sudo",
    unit: "ms",
    targets: [],
    comparedTo: "mitogen",
    async measure(world, { quick }): Promise<Measured> {
      if (!world.sudo) {
        const notes = ["needs root, to let its account use sudo"];
        return { values: { holdfast: null, mitogen: null }, notes, failed: false };
      }
      const { place, client, configFile } = await ours(world);
      const target = `${place.name},sudo=${world.user}`;
      return await alternate({
        holdfast: {
          before: () => client.ask({ do: "disconnect", target, configFile }).then(settle),
          run: () => client.time({ do: "fleet", target, configFile, count: FLEET }),
        },
        mitogen: await peer(world, (process) => ({
          before: settle,
          run: () => process.time({ do: "fleet", count: FLEET, user: world.user }),
        })),
      }, { runs: quick ? 2 : 5, warmups: 1 });
    },
  },
];

/** A live client of ours, and a host for it. */
async function ours(world: World) {
  const place = await world.place();
  const { client } = await world.seat();
  return { place, client, configFile: world.config };
}

/** Mitogen with a connection of its own, or why there is none. */
async function peer<T>(world: World, use: (process: LineProcess) => T): Promise<T | string> {
  const process = await mitogenProcess(world, await world.place());
  return typeof process === "string" ? process : use(process);
}

/** An empty call to a function that is loaded, `below` contexts under a host. */
async function calls(
  world: World,
  { below, quick }: RowOptions & { below: number },
): Promise<Measured> {
  const { place, client, configFile } = await ours(world);
  const target = place.name + ",local".repeat(below);
  await client.ask({ do: "context", target, configFile });
  return await alternate({
    holdfast: { run: () => client.time({ do: "call", target, count: CALLS }) },
    mitogen: await peer(
      world,
      (process) => ({ run: () => process.time({ do: "call", below, count: CALLS }) }),
    ),
  }, { runs: quick ? 20 : 60, warmups: 10 });
}

/** What the run before left behind must not count here. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 250));
}
