/** The connection method `local`: this machine, as this user. */
import { HoldfastError } from "../core/errors.ts";
import { denoHost } from "../files/host_deno.ts";
import { withSftp } from "../files/sftp_service.ts";
import type { Endpoint } from "./endpoint.ts";
import { withTerminals } from "../parent/local_terminal.ts";

export function localEndpoint(): Endpoint {
  let close = () => {};
  const closed = new Promise<HoldfastError>((resolve) => {
    close = () => resolve(new HoldfastError("disconnected", "local: the connection was closed"));
  });
  return {
    description: "local",
    host: withSftp(withTerminals(denoHost)),
    startCore: (line) => denoHost.spawn({ command: line }),
    closed,
    close,
  };
}
