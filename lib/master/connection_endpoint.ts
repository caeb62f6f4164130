/** An SSH connection as an endpoint, whoever made it. Used by `ssh_endpoint.ts` and `openssh_endpoint.ts`. */
import { HoldfastError } from "../core/errors.ts";
import type { Endpoint } from "./endpoint.ts";
import { directHost } from "./direct_host.ts";
import type { SshConnection } from "./ssh_connection.ts";

export function connectionEndpoint(connection: SshConnection): Endpoint {
  const { description } = connection;
  const host = directHost(connection);
  return {
    description,
    host,
    dial: (host, port) => connection.dial(host, port),
    startCore: (line) => host.start(line),
    coreRuns: (spawn) => host.keep(spawn),
    closed: connection.lost.then((reason) =>
      reason ?? new HoldfastError("disconnected", `${description}: the connection was closed`)
    ),
    close: () => connection.close(),
  };
}
