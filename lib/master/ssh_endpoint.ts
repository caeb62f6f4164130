/** The connection method `ssh`: a host reached over ssh2. */
import type { Endpoint } from "./endpoint.ts";
import { connectionEndpoint } from "./connection_endpoint.ts";
import type { SshSettings } from "./ssh_config.ts";
import { connectSsh, type ConnectSshOptions } from "./ssh_connection.ts";

/** Connects and authenticates. Rejects with the phase that failed. */
export async function sshEndpoint(
  settings: SshSettings,
  options: ConnectSshOptions,
): Promise<Endpoint> {
  return connectionEndpoint(await connectSsh(settings, options));
}
