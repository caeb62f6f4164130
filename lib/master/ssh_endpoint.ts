/** The connection method `ssh`: a host reached over ssh2. */
import { HoldfastError } from "../core/errors.ts";
import type { Endpoint } from "../parent/endpoint.ts";
import { directHost } from "./direct_host.ts";
import type { SshSettings } from "./ssh_config.ts";
import { connectSsh, type ConnectSshOptions } from "./ssh_connection.ts";

/** Connects and authenticates. Rejects with the phase that failed. */
export async function sshEndpoint(
  settings: SshSettings,
  options: ConnectSshOptions,
): Promise<Endpoint> {
  const connection = await connectSsh(settings, options);
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
