/** The subsystem `sftp` of a host whose SSH server has none: served through the host's core. For `host_connection.ts`. */
import type { Child, Host, SpawnOptions } from "../core/host.ts";
import type { SshSessionOptions } from "../master/direct_host.ts";

/** `host`, which tries its server first. `serve` resolves with null where there is no core. */
export function withCoreSftp(
  host: Host,
  serve: (options: SpawnOptions) => Promise<Child | null>,
): Host {
  return {
    ...host,
    async spawn(options: SpawnOptions & SshSessionOptions) {
      const { session } = options;
      const isSftp = typeof session === "object" && session.subsystem === "sftp";
      if (!isSftp) return await host.spawn(options);
      try {
        return await host.spawn(options);
      } catch (refusal) {
        const child = await serve(options);
        if (child === null) throw refusal;
        return child;
      }
    },
  };
}
