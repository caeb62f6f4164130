/** An SSH connection as an endpoint, whoever made it. Used by `ssh_endpoint.ts` and `openssh_endpoint.ts`. */
import { HoldfastError } from "../core/errors.ts";
import type { Endpoint } from "./endpoint.ts";
import { directHost } from "./direct_host.ts";
import type { SshConnection } from "./ssh_connection.ts";

export function connectionEndpoint(connection: SshConnection): Endpoint {
  const { description } = connection;
  return {
    description,
    host: directHost(connection),
    dial: (host, port) => connection.dial(host, port),
    startCore: (line) => connection.exec(line),
    closed: connection.lost.then((reason) =>
      reason ?? new HoldfastError("disconnected", `${description}: the connection was closed`)
    ),
    close: () => connection.close(),
  };
}
