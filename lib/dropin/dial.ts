/** A connection that the last context of a stack makes, as two streams. For `-W`, `-L` and `-D`. */
import type { Router } from "../core/router.ts";
import { ReceiveStream, SendStream } from "../core/stream.ts";
import type { Endpoint } from "./forward_spec.ts";

export interface Dialled {
  outgoing: SendStream;
  incoming: ReceiveStream;
  /** Resolves when it is connected. Rejects with why it cannot be; the streams then fail as well. */
  connected: Promise<void>;
}

/** Bytes may be sent at once: they travel behind the request. */
export function dial(
  { router, context }: { router: Router; context: number },
  endpoint: Endpoint,
): Dialled {
  const outgoing = SendStream.open(router, context);
  const incoming = ReceiveStream.open(router, context);
  const address = "path" in endpoint
    ? { path: endpoint.path, host: "", port: 0 }
    : { host: endpoint.host ?? "", port: endpoint.port };
  const connected = router.call(context, {
    service: "net",
    method: "dial",
    args: { ...address, outgoing: outgoing.id, incoming: incoming.id },
  }).then(() => {}, (error) => {
    outgoing.abort(error);
    incoming.fail(error);
    throw error;
  });
  return { outgoing, incoming, connected };
}
