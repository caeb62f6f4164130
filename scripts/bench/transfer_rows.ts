/** One large file in both directions, and a tree of small ones. Each run starts without its result. */

import { alternate, type Contestant, type Row } from "./row.ts";
import type { Command } from "./processes.ts";
import type { World } from "./world.ts";

const SMALL_FILES = 1000;
/** What the names of results begin with that are kept until the end of a row. */
const ASIDE = "done-";

export const transferRows: Row[] = [
  {
    name: "put_1g",
    unit: "MB/s",
    targets: [{ peer: "scp", atLeast: 0.6 }],
    async measure(world, { quick, size }) {
      const source = `${world.localDir}/large`;
      await writeRandom(source, size);
      const result = `${world.remoteDir}/large`;
      const tools = await toolset(world);
      const to = (words: string[]) => world.peer(...words, source, `${tools.host}:${result}`);
      const once = (command: Command) => transfer(world, { command, result, size });
      const measured = await alternate({
        holdfast: once(await tools.holdfast("put", source, result)),
        scp: once(to(tools.scp)),
        "scp over master": once(to(tools.scpOverMaster)),
        rsync: once(to(tools.rsync)),
      }, { runs: quick ? 2 : 5, warmups: 0 });
      await Deno.remove(source);
      return measured;
    },
  },
  {
    name: "fetch_1g",
    unit: "MB/s",
    targets: [{ peer: "scp", atLeast: 0.6 }],
    async measure(world, { quick, size }) {
      const source = `${world.remoteDir}/large`;
      await writeRandom(source, size);
      const result = `${world.localDir}/large`;
      const tools = await toolset(world);
      const from = (words: string[]) => world.peer(...words, `${tools.host}:${source}`, result);
      const once = (command: Command) => transfer(world, { command, result, size });
      const measured = await alternate({
        holdfast: once(await tools.holdfast("fetch", source, result)),
        scp: once(from(tools.scp)),
        "scp over master": once(from(tools.scpOverMaster)),
        rsync: once(from(tools.rsync)),
      }, { runs: quick ? 2 : 5, warmups: 0 });
      await Deno.remove(source);
      return measured;
    },
  },
  {
    name: "put_1000_small",
    unit: "ms",
    targets: [{ peer: "scp -r", atMost: 0.2 }],
    async measure(world, { quick }) {
      const source = `${world.localDir}/tree`;
      await writeTree(source);
      const result = `${world.remoteDir}/tree`;
      const tools = await toolset(world);
      const to = (words: string[]) => world.peer(...words, source, `${tools.host}:${result}`);
      const unpack = `mkdir ${result} && tar -xf - -C ${result}`;
      const ssh = `ssh -F ${world.config} ${tools.host}`;
      const tar = world.peer("sh", "-c", `tar -cf - -C ${source} . | ${ssh} '${unpack}'`);
      const once = (command: Command) => transfer(world, { command, result });
      const measured = await alternate({
        holdfast: once(await tools.holdfast("put", source, result)),
        "scp -r": once(to([...tools.scp, "-r"])),
        "scp -r over master": once(to([...tools.scpOverMaster, "-r"])),
        "tar | ssh": once(tar),
        rsync: once(world.peer(...tools.rsync, "-r", `${source}/`, `${tools.host}:${result}`)),
      }, { runs: quick ? 3 : 9 });
      for await (const { name } of Deno.readDir(world.remoteDir)) {
        if (name.startsWith(ASIDE)) {
          await Deno.remove(`${world.remoteDir}/${name}`, { recursive: true });
        }
      }
      await Deno.remove(source, { recursive: true });
      return measured;
    },
  },
];

/** A way to the account with all that is needed warm. */
async function toolset(world: World) {
  const place = await world.place();
  const seat = await world.seat();
  await world.processes.time(await world.built(seat, "exec", place.name, "--", "true"));
  const socket = await world.controlMaster(place);
  return {
    host: place.name,
    holdfast: (subcommand: "put" | "fetch", from: string, to: string) =>
      world.built(seat, subcommand, "-q", place.name, from, to),
    scp: ["scp", "-q", "-F", world.config],
    scpOverMaster: ["scp", "-q", "-F", world.config, "-o", `ControlPath=${socket}`],
    rsync: ["rsync", "-e", `ssh -F ${world.config}`],
  };
}

/**
 * Milliseconds of one run, or MB/s where a size is given. A tree is moved aside and not removed: ext4 gives no inode
 * away again for a minute, and looks at each of those at every new file, which would cost all contestants alike up to a
 * millisecond a file.
 */
function transfer(
  world: World,
  { command, result, size }: { command: Command; result: string; size?: number },
): Contestant {
  return {
    async before() {
      await Deno.remove(result, { recursive: true }).catch(() => {});
      // What the run before left to be written must not slow this one down.
      await world.processes.time(world.peer("sync"));
    },
    async run() {
      const ms = await world.processes.time(command);
      const written = (await Deno.stat(result)).size;
      if (size !== undefined && written !== size) {
        throw new Error(`wrote ${written} of ${size} bytes`);
      }
      if (size === undefined) {
        await Deno.rename(result, `${result.replace(/[^/]*$/, ASIDE)}${crypto.randomUUID()}`);
        return ms;
      }
      await Deno.remove(result);
      return size / 1e3 / ms;
    },
  };
}

/** Nothing that a compressor could shrink. */
async function writeRandom(path: string, size: number): Promise<void> {
  using file = await Deno.open(path, { create: true, write: true, truncate: true, mode: 0o644 });
  const block = new Uint8Array(1 << 20);
  for (let left = size; left > 0; left -= block.length) {
    for (let at = 0; at < block.length; at += 65536) {
      crypto.getRandomValues(block.subarray(at, at + 65536));
    }
    const part = block.subarray(0, Math.min(left, block.length));
    for (let at = 0; at < part.length;) at += await file.write(part.subarray(at));
  }
}

/** Files of 1 to 4 KiB, fifty to a directory. */
async function writeTree(path: string): Promise<void> {
  for (let index = 0; index < SMALL_FILES; index++) {
    const dir = `${path}/d${Math.floor(index / 50)}`;
    if (index % 50 === 0) await Deno.mkdir(dir, { recursive: true });
    const content = crypto.getRandomValues(new Uint8Array(1024 + index * 37 % 3072));
    await Deno.writeFile(`${dir}/f${index}`, content);
  }
}
