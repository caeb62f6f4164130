/** A context inside this process that serves another machine's host: how a target is reached without a core. */
import { Context, type StartServices } from "../core/context.ts";
import type { HoldfastError } from "../core/errors.ts";
import { start as startFiles } from "../files/file_service.ts";
import type { Host } from "../core/host.ts";
import { Link } from "../core/link.ts";
import { OwnedIds } from "../core/owned_ids.ts";
import { start as startProcesses } from "../core/process_service.ts";
import { Router } from "../core/router.ts";
import { transportPair } from "../core/transport_pair.ts";

export interface DirectContext {
  id: number;
  link: Link;
  /** Ends its processes and its route; idempotent. */
  close(reason: HoldfastError): void;
  /** Resolves when what it ran has ended and its unfinished files are removed. */
  ended: Promise<void>;
}

/** Makes the context `id` below `router`, with the same services as any other, and `more`. */
export function directContext(
  router: Router,
  { id, host, more = [] }: { id: number; host: Host; more?: readonly StartServices[] },
): DirectContext {
  const [above, below] = transportPair();
  const inner = new Router({ id, parentIds: [router.id, ...router.parentIds] });
  const nowhere = { name: "", owner: "", importer: null, core: null, ids: new OwnedIds() };
  const context = new Context({ router: inner, host, ...nowhere });
  context.start(startProcesses);
  context.start(startFiles);
  for (const start of more) context.start(start);
  const up = new Link(router.id, below);
  inner.setParent(up);
  const link = new Link(id, above);
  router.addRoute(id, link);
  let reason: HoldfastError | null = null;
  let onEnded: () => void = () => {};
  const ended = new Promise<void>((resolve) => onEnded = resolve);
  void up.run({
    onFrame: (frame) => inner.receive(frame, up),
    onClose: () => {
      if (reason) inner.removeLink(up, reason);
      context.close().catch(() => {}).then(onEnded);
    },
  });
  void link.run({
    onFrame: (frame) => router.receive(frame, link),
    onClose: () => {
      if (reason) router.removeLink(link, reason);
    },
  });
  return {
    id,
    link,
    ended,
    close(why) {
      if (reason) return;
      reason = why;
      link.close(null);
      up.close(null);
    },
  };
}
