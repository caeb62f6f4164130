/** `exec --with-ssh`: the command may itself call `ssh`, for the targets that are named. Loaded for that only. */
import { openSession, type SshOptions } from "../client/session.ts";
import { HoldfastError } from "../core/errors.ts";
import { parseTarget } from "../rendezvous/target.ts";
import { serveInnerRequest } from "./inner_request.ts";
import { listenThere } from "./remote_listener.ts";

/** What the command needs for it. */
export interface InnerSsh extends AsyncDisposable {
  /** Variables for the command: the PATH with our `ssh` in front. */
  env: Record<string, string>;
}

/**
 * Puts an `ssh` into the context of `target`, which can be used until it is disposed of. Rejects as opening the target
 * does, and with `bootstrap` where no core runs.
 */
export async function offerInnerSsh(
  { target, ssh }: { target: string; ssh: SshOptions },
  allowed: readonly string[],
): Promise<InnerSsh> {
  for (const one of allowed) parseTarget(one);
  const { session, context } = await openSession({ target, ssh, purpose: "net" });
  const { router } = session;
  // Who one is and the way are the target's own; the others' stand in their names and in ssh_config.
  const { user: _user, port: _port, jump: _jump, ...others } = ssh;
  try {
    const listener = await listenThere(
      { router, context, hidden: "ssh" },
      (arrival) => serveInnerRequest(arrival, { session, allowed, ssh: others }),
    );
    return { env: { PATH: listener.search! }, [Symbol.asyncDispose]: () => session.close() };
  } catch (error) {
    await session.close();
    const lacks = error instanceof HoldfastError && error.kind === "no_route";
    throw lacks
      ? new HoldfastError(
        "bootstrap",
        `Cannot offer ssh in ${target}: it has no deno, node or bun`,
      )
      : error;
  }
}
