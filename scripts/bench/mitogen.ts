/** Mitogen as a peer: one live Python process with one connection. */

import type { Contestant } from "./row.ts";
import { LineProcess } from "./line_process.ts";
import type { Place, World } from "./world.ts";

/** The system's own Python: that is what the distribution's package is installed for. */
const PYTHON = "/usr/bin/python3";

/** Two contestants: `true` by itself, and through a shell as ours is run. */
export async function mitogenPeers(
  world: World,
  place: Place,
): Promise<Record<string, Contestant | string>> {
  const peer = await mitogenProcess(world, place);
  if (typeof peer === "string") return { mitogen: peer, "mitogen sh -c": peer };
  return {
    mitogen: { run: () => peer.time({ words: ["true"] }) },
    "mitogen sh -c": { run: () => peer.time({ words: ["/bin/sh", "-c", "true"] }) },
  };
}

/** The process, or why there is none; `mitogen_peer.py` says what it can be asked. */
export async function mitogenProcess(world: World, place: Place): Promise<LineProcess | string> {
  const missing = await lacking(world);
  if (missing) return missing;
  const options = { port: place.port, user: world.user, identity: world.identity };
  const script = new URL("mitogen_peer.py", import.meta.url).pathname;
  const peer = new LineProcess(world.processes, {
    words: [PYTHON, script, JSON.stringify(options)],
    env: { ...world.env, PYTHONDONTWRITEBYTECODE: "1" },
  });
  world.defer(() => peer.close());
  return peer;
}

async function lacking(world: World): Promise<string | null> {
  try {
    const words = [PYTHON, "-c", "import mitogen.master"];
    await world.processes.time({ words, env: world.env });
    return null;
  } catch {
    return `${PYTHON} has no mitogen (Debian: python3-mitogen)`;
  }
}
