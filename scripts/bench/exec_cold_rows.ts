/** The first command on a host: with a daemon that runs already, and with none. */

import { alternate, type Row } from "./row.ts";
import type { Place, World } from "./world.ts";

export const execColdRows: Row[] = [
  {
    name: "exec_cold",
    unit: "ms",
    targets: [{ peer: "ssh", atMost: 0.8 }],
    async measure(world, { quick }) {
      const place = await world.place();
      const seat = await world.seat();
      const { name: target } = place;
      const { config: configFile } = world;
      const command = world.holdfast(seat, "exec", target, "--", "true");
      return await alternate({
        holdfast: {
          before: () => seat.client.ask({ do: "disconnect", target, configFile }).then(settle),
          run: () => world.processes.time(command),
        },
        ssh: plainSsh(world, place),
      }, { runs: quick ? 7 : 25, warmups: 2 });
    },
  },
  {
    name: "exec_first",
    unit: "ms",
    targets: [],
    comparedTo: "ssh",
    async measure(world, { quick }) {
      const place = await world.place();
      const seat = await world.seat();
      const command = world.holdfast(seat, "exec", place.name, "--", "true");
      return await alternate({
        holdfast: {
          before: () => seat.stop().then(settle),
          run: () => world.processes.time(command),
        },
        ssh: plainSsh(world, place),
      }, { runs: quick ? 5 : 15, warmups: 1 });
    },
  },
];

function plainSsh(world: World, { name }: Place) {
  const command = world.peer("ssh", "-F", world.config, name, "true");
  return { before: settle, run: () => world.processes.time(command) };
}

/** What the run before left behind (a core that still starts, a session that ends) must not count here. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 250));
}
