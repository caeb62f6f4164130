/** `-L`, `-R` and `-D`, of the command line and of ssh_config. Loaded for those only. */
import { HoldfastError } from "../core/errors.ts";
import { BeyondUs } from "./beyond_us.ts";
import { describeForward, describePlace } from "./forward_places.ts";
import type { Forward } from "./forward_spec.ts";
import { type ForwardContext, startLocalForward } from "./local_forward.ts";
import { type RemoteForward, startRemoteForward } from "./remote_forward.ts";
import type { OpenWork } from "./session_work.ts";

/**
 * Starts all of them; they end with this process. One that cannot be is told of, and ends everything where
 * ExitOnForwardFailure says so. Rejects with {@linkcode BeyondUs} when nothing on the other side can listen.
 */
export async function startForwards({ request, plan, session, log }: OpenWork): Promise<void> {
  const { destination: target, ssh } = request;
  const { router } = session;
  const context = await session.open({ target, ssh, purpose: "net" });
  const at = { router, context, log };
  // What the other side may not be able to do comes first: nothing is taken here then.
  const inOrder = plan.forwards.toSorted((a, b) => Number(isRemote(b)) - Number(isRemote(a)));
  for (const forward of inOrder) {
    const failure = isRemote(forward)
      ? await remote(forward, at)
      : startLocalForward(forward, { ...at, gatewayPorts: plan.gatewayPorts })
      ? null
      : "Could not request local forwarding.";
    if (failure === null) continue;
    if (plan.needsForwards) throw new HoldfastError("io", failure);
    if (isRemote(forward)) log.write("INFO", `Warning: ${failure}`);
    else log.write("ERROR", failure);
  }
}

function isRemote(forward: Forward): forward is RemoteForward {
  return forward.kind === "remote" || forward.kind === "remote-dynamic";
}

/** Null, or why it is none. */
async function remote(forward: RemoteForward, at: ForwardContext): Promise<string | null> {
  const { listen } = forward;
  try {
    const { port } = await startRemoteForward(forward, at);
    if ("port" in listen && listen.port === 0) {
      const where = forward.kind === "remote" ? describePlace(forward.connect) : "socks:0";
      at.log.write("INFO", `Allocated port ${port} for remote forward to ${where}`);
    }
    return null;
  } catch (error) {
    // There is no core that could listen.
    if ((error as HoldfastError).kind === "no_route") throw new BeyondUs("-R");
    at.log.write("VERBOSE", `${describeForward(forward)}: ${(error as Error).message}`);
    const what = "path" in listen ? `path ${listen.path}` : `port ${listen.port}`;
    return `remote port forwarding failed for listen ${what}`;
  }
}
