/** `-L`, `-R` and `-D`, of the command line and of ssh_config. Loaded for those only. */
import { HoldfastError } from "../core/errors.ts";
import { BeyondUs } from "./beyond_us.ts";
import { describeForward, describePlace } from "./forward_places.ts";
import type { Forward } from "./forward_spec.ts";
import { FORWARD_SERVICE, type HeldForward, HeldForwards } from "./held_forwards.ts";
import {
  type ForwardContext,
  type LocalForward,
  type LocalRules,
  startLocalForward,
} from "./local_forward.ts";
import { type RemoteForward, startRemoteForward } from "./remote_forward.ts";
import type { OpenWork } from "./session_work.ts";

/**
 * Starts all of them; they end with this process, or when another one cancels them. One that cannot be is told of, and
 * ends everything where ExitOnForwardFailure says so. Rejects with {@linkcode BeyondUs} when nothing on the other side
 * can listen.
 */
export async function startForwards(
  { request, plan, session, log }: OpenWork,
): Promise<HeldForwards> {
  const { destination: target, ssh } = request;
  const { router } = session;
  const context = await session.open({ target, ssh, purpose: "net" });
  const { gatewayPorts, unlinkSockets: unlink } = plan;
  const at = { router, context, log, gatewayPorts, unlink };
  const held = new HeldForwards();
  session.serve(FORWARD_SERVICE, held.service);
  // What the other side may not be able to do comes first: nothing is taken here then.
  const inOrder = plan.forwards.toSorted((a, b) => Number(isRemote(b)) - Number(isRemote(a)));
  for (const forward of inOrder) {
    const started = isRemote(forward) ? await remote(forward, at) : local(forward, at);
    if (typeof started !== "string") {
      held.add(forward, started);
      continue;
    }
    if (plan.needsForwards) throw new HoldfastError("io", started);
    if (isRemote(forward)) log.write("INFO", `Warning: ${started}`);
    else log.write("ERROR", started);
  }
  return held;
}

function isRemote(forward: Forward): forward is RemoteForward {
  return forward.kind === "remote" || forward.kind === "remote-dynamic";
}

/** Or why it is none. */
function local(
  forward: LocalForward,
  at: ForwardContext & LocalRules,
): HeldForward | string {
  const stop = startLocalForward(forward, at);
  return stop ? { stop } : "Could not request local forwarding.";
}

/** Or why it is none. */
async function remote(
  forward: RemoteForward,
  at: ForwardContext,
): Promise<HeldForward | string> {
  const { listen } = forward;
  try {
    const { port, close } = await startRemoteForward(forward, at);
    if (!("port" in listen) || listen.port !== 0) return { stop: close };
    const where = forward.kind === "remote" ? describePlace(forward.connect) : "socks:0";
    at.log.write("INFO", `Allocated port ${port} for remote forward to ${where}`);
    return { port, stop: close };
  } catch (error) {
    // There is no core that could listen.
    if ((error as HoldfastError).kind === "no_route") throw new BeyondUs("-R");
    at.log.write("VERBOSE", `${describeForward(forward)}: ${(error as Error).message}`);
    const what = "path" in listen ? `path ${listen.path}` : `port ${listen.port}`;
    return `remote port forwarding failed for listen ${what}`;
  }
}
