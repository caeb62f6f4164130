/** A listener in the last context of a stack, whose connections come here as streams. For `-R` and `-A`. */
import { MIRROR } from "../core/constants.ts";
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import { decodeJson, type JsonObject } from "../core/json.ts";
import type { Router } from "../core/router.ts";
import { ReceiveStream, SendStream } from "../core/stream.ts";
import type { Endpoint } from "./forward_spec.ts";

/**
 * Where it listens: one of these places, or a Unix socket that only the context's user can reach, as it is or with a
 * program `ssh` that speaks to it.
 */
export type ListenThere = { places: Endpoint[] } | { hidden: "socket" | "ssh" };

/** A connection that came in there. */
export interface Arrival {
  /** What it sends. */
  incoming: ReceiveStream;
  outgoing: SendStream;
}

export interface RemoteListener {
  /** The port that was chosen, or the path. */
  port?: number;
  path?: string;
  /** The PATH with which the program beside it is found. */
  search?: string;
  /** Resolves when it takes no more; its connections go on. */
  close(): Promise<void>;
}

/**
 * Listens there; it ends with this process at the latest. What `onArrival` rejects with closes the connection. Rejects
 * with `no_route` where no core runs, which is what could listen.
 */
export async function listenThere(
  { router, context, ...wanted }: { router: Router; context: number } & ListenThere,
  onArrival: (arrival: Arrival) => Promise<void>,
): Promise<RemoteListener> {
  const accepted = router.addHandler({
    from: context,
    onFrame({ payload }) {
      const { incoming, outgoing } = decodeJson(payload);
      const arrival = accept({ router, context }, Number(incoming), Number(outgoing));
      if (!arrival) return;
      onArrival(arrival).catch((error) => {
        arrival.incoming.cancel();
        arrival.outgoing.abort(toHoldfastError(error, "connect"));
      });
    },
    onDead() {},
  });
  const args = { accepted, ...wanted } as unknown as JsonObject;
  try {
    const listening = await router.call(context, { service: "net", method: "listen", args });
    return {
      ...listening as Omit<RemoteListener, "close">,
      async close() {
        router.removeHandler(accepted);
        const done = new HoldfastError("cancelled", "the listener was closed");
        router.sendDead(context, accepted + MIRROR, done);
        // It is answered after what went before it.
        await router.call(context, { service: "context", method: "ping" }).catch(() => {});
      },
    };
  } catch (error) {
    router.removeHandler(accepted);
    throw error;
  }
}

/** Takes the streams; null when there are too many, which the context is told. */
function accept(
  { router, context }: { router: Router; context: number },
  incoming: number,
  outgoing: number,
): Arrival | null {
  let source: ReceiveStream | null = null;
  try {
    source = ReceiveStream.accept(router, { peer: context, id: incoming });
    return {
      incoming: source,
      outgoing: SendStream.accept(router, { peer: context, id: outgoing }),
    };
  } catch (error) {
    const reason = toHoldfastError(error);
    source?.cancel(reason);
    for (const id of [incoming, outgoing]) router.sendDead(context, id, reason);
    return null;
  }
}
