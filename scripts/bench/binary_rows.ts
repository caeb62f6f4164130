/** The built file by itself: its size, and what starting it costs beside the same from the source tree. */

import { builtFile } from "./built_file.ts";
import { alternate, type Measured, type Row } from "./row.ts";

export const binaryRows: Row[] = [
  {
    name: "binary_mb",
    unit: "MB",
    targets: [],
    async measure(): Promise<Measured> {
      const { size } = await Deno.stat(await builtFile());
      return { values: { holdfast: size / 1e6 }, notes: [], failed: false };
    },
  },
  {
    name: "binary_warm_ms",
    unit: "ms",
    targets: [],
    comparedTo: "deno run",
    async measure(world, { quick }): Promise<Measured> {
      const seat = await world.seat();
      const file = { words: [await builtFile(), "--version"], env: seat.env };
      const source = world.source(seat, "--version");
      const ssh = world.peer("ssh", "-V");
      return await alternate({
        holdfast: { run: () => world.processes.time(file) },
        "deno run": { run: () => world.processes.time(source) },
        ssh: { run: () => world.processes.time(ssh) },
      }, { runs: quick ? 15 : 60, warmups: 5 });
    },
  },
];
