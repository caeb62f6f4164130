/** The subsystem `sftp` of a host whose SSH server has none: served through the host's core. For `host_connection.ts`. */
import { startProcess } from "../client/remote_process.ts";
import type { Child, Host, SpawnOptions } from "../core/host.ts";
import type { Router } from "../core/router.ts";
import type { SshSessionOptions } from "../master/direct_host.ts";

/** `host`, which tries its server first. `core` resolves with a context that serves `sftp`; null where there is none. */
export function withCoreSftp(
  host: Host,
  { router, core }: { router: Router; core: () => Promise<number | null> },
): Host {
  return {
    ...host,
    async spawn(options: SpawnOptions & SshSessionOptions) {
      const { session } = options;
      if (typeof session !== "object" || session.subsystem !== "sftp") {
        return await host.spawn(options);
      }
      try {
        return await host.spawn(options);
      } catch (refusal) {
        const context = await core();
        if (context === null) throw refusal;
        return inContext(router, context, options);
      }
    },
  };
}

function inContext(
  router: Router,
  context: number,
  { command, session }: SpawnOptions & SshSessionOptions,
): Child {
  const words = typeof command === "string" ? command : [...command];
  const { stdin, stdout, stderr, ...process } = startProcess(router, context, {
    command: words,
    session: session as { subsystem: string },
    input: true,
  });
  let running = true;
  void process.exit.catch(() => {}).then(() => running = false);
  return {
    pid: 0,
    stdin: stdin!,
    stdout,
    stderr,
    exit: process.exit,
    kill: (signal) => process.kill(signal.replace(/^SIG/, "")),
    isAlive: () => running,
    resize() {},
  };
}
