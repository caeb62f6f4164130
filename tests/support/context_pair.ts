/** Two contexts joined in memory, parent 0 and child 1, as a client and a remote context are by the daemon. */

import type { Transport } from "../../lib/core/host.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { Link } from "../../lib/core/link.ts";
import { Router } from "../../lib/core/router.ts";
import { serve, type Service } from "../../lib/core/service.ts";
import { transportPair } from "../../lib/core/transport_pair.ts";

export interface ContextPairOptions {
  /** What the child serves. */
  services: Record<string, Service>;
  /** Stands between the child's link and its transport: to damage or count what passes. */
  wrap?(transport: Transport): Transport;
  /** Use these ends, the parent's and the child's, in place of an in-memory pair. */
  transports?: [Transport, Transport];
}

export interface ContextPair extends AsyncDisposable {
  /** Context 0. */
  parent: Router;
  /** Context 1. */
  child: Router;
  /** Cuts the link, as a lost connection would. */
  cut(): void;
}

/** Joins them; disposal cuts the link and waits until both ends have noticed. */
export function contextPair(options: ContextPairOptions): ContextPair {
  const [above, below] = options.transports ?? transportPair();
  const parent = new Router({ id: 0 });
  const child = new Router({ id: 1, parentIds: [0] });
  const down = new Link(1, above);
  const up = new Link(0, options.wrap?.(below) ?? below);
  parent.addRoute(1, down);
  child.setParent(up);
  serve(child, options.services);
  const ends = [[parent, down], [child, up]] as const;
  const running = ends.map(([router, link]) =>
    link.run({
      onFrame: (frame) => router.receive(frame, link),
      onClose: (error) => router.removeLink(link, error ?? gone()),
    })
  );
  const cut = () => down.close(null);
  return {
    parent,
    child,
    cut,
    async [Symbol.asyncDispose]() {
      cut();
      up.close(null);
      await Promise.all(running);
    },
  };
}

function gone(): HoldfastError {
  return new HoldfastError("disconnected", "the link was cut");
}
