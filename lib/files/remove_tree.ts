/** Removes what a failed transfer made; for `tree_receiver.ts`. */
import type { Host } from "../core/host.ts";

/** Removals of one directory that are under way at once. */
const WIDTH = 32;

/** Removes a tree of which all is ours, links not followed. */
export async function removeTree(host: Host, path: string): Promise<void> {
  const { type } = await host.lstat(path);
  if (type === "directory") {
    // It may have got a mode that keeps even its owner out.
    await host.chmod(path, 0o700);
    const names = (await host.readDir(path)).values();
    const work = async () => {
      for (const name of names) await removeTree(host, `${path}/${name}`);
    };
    await Promise.all(Array.from({ length: WIDTH }, work));
  }
  await host.remove(path);
}
