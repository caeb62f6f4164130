/** Where forwards listen, and what they are called. Pure. */
import type { Endpoint, Forward } from "./forward_spec.ts";

/** ssh's rule: the loopback addresses, unless it is told otherwise. The first that can be had says which port. */
export function bindAddresses(
  listen: Endpoint,
  { gatewayPorts }: { gatewayPorts: boolean },
): Endpoint[] {
  if ("path" in listen) return [listen];
  const { host, port } = listen;
  if (host === "" || host === "*" || (host === undefined && gatewayPorts)) {
    // In this order: some systems serve both families by the first, and others would be left with one by the second.
    return [{ host: "::", port }, { host: "0.0.0.0", port }];
  }
  if (host === undefined || host === "localhost") {
    return [{ host: "127.0.0.1", port }, { host: "::1", port }];
  }
  return [{ host, port }];
}

export function describeForward(forward: Forward): string {
  return "connect" in forward
    ? `${describePlace(forward.listen)} to ${describePlace(forward.connect)}`
    : describePlace(forward.listen);
}

export function describePlace(place: Endpoint): string {
  return "path" in place ? place.path : `${place.host ?? "localhost"}:${place.port}`;
}
