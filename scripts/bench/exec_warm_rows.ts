/** `true` on a warm connection: from a live client and as a whole process, near and 30 ms away. */

import { mitogenPeers } from "./mitogen.ts";
import { alternate, type Measured, type Row, type RowOptions, type Target } from "./row.ts";
import type { World } from "./world.ts";

/** Round trip of the far rows in milliseconds. */
const FAR = 30;

export const execWarmRows: Row[] = [
  live("exec_warm_live", {
    delay: 0,
    targets: [{ peer: "ssh -S", atMost: 0.2 }, { peer: "mitogen", atMost: 1 }],
  }),
  // 20 ms where `ssh -S` takes 7.
  whole("exec_warm_process", { delay: 0, targets: [{ peer: "ssh -S", atMost: 20 / 7 }] }),
  live("exec_warm_live_30ms", { delay: FAR, targets: [] }),
  whole("exec_warm_process_30ms", { delay: FAR, targets: [{ peer: "ssh -S", atMost: 0.75 }] }),
];

interface Variant {
  delay: number;
  targets: Target[];
}

function live(name: string, { delay, targets }: Variant): Row {
  return {
    name,
    unit: "ms",
    targets,
    comparedTo: "ssh -S",
    async measure(world, options) {
      const ours = await world.place({ delay });
      const { client } = await world.seat();
      const { name: target } = ours;
      await client.ask({ do: "open", target, configFile: world.config });
      return await alternate({
        holdfast: { run: () => client.time({ do: "run", target, command: "true" }) },
        "ssh -S": await sshOverMaster(world, delay),
        ...await mitogenPeers(world, await world.place({ delay })),
      }, rounds(options));
    },
  };
}

function whole(name: string, { delay, targets }: Variant): Row {
  return {
    name,
    unit: "ms",
    targets,
    async measure(world, options): Promise<Measured> {
      const { name: target } = await world.place({ delay });
      const seat = await world.seat();
      const words = ["exec", target, "--", "true"] as const;
      const built = await world.built(seat, ...words);
      // Its users' daemon is its own, too.
      await world.processes.time(built);
      const source = world.holdfast(seat, ...words);
      return await alternate({
        holdfast: { run: () => world.processes.time(built) },
        "deno run": { run: () => world.processes.time(source) },
        "ssh -S": await sshOverMaster(world, delay),
      }, rounds(options));
    },
  };
}

async function sshOverMaster(world: World, delay: number) {
  const place = await world.place({ delay });
  const socket = await world.controlMaster(place);
  const command = world.peer("ssh", "-F", world.config, "-S", socket, place.name, "true");
  return { run: () => world.processes.time(command) };
}

function rounds({ quick }: RowOptions) {
  return { runs: quick ? 15 : 60, warmups: 5 };
}
