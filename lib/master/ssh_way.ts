/**
 * The way to a host: straight over TCP, through a ProxyCommand, or through jump hosts. Used by `ssh_connection.ts`.
 */

import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import { untilAborted } from "../core/until_aborted.ts";
import { joinWrites } from "./joined_writes.ts";
import type { PhaseClock } from "./phase_clock.ts";
import { checkHostName, checkUserName, startProxyCommand } from "./proxy_command.ts";
import type { SshSettings } from "./ssh_settings.ts";
import { addressesOf, connectTcp, describe, type SshSocket } from "./ssh_socket.ts";
import type { Duplex } from "node:stream";

/** A connection that can reach further hosts; `SshConnection` is one. */
export interface Jump {
  readonly description: string;
  readonly closed: Promise<unknown>;
  /** The stream is what ssh2 runs over; `close` gives it up. */
  dial(host: string, port: number): Promise<{ stream: Duplex; close(): void }>;
  close(): void;
}

export interface WayOptions {
  clock: PhaseClock;
  /** Aborted with the error to report. */
  signal: AbortSignal;
  /** An existing connection to go through, which stays its owner's. */
  via?: Jump;
  /** Makes the connection to a jump host, which itself goes through `before`, if any. */
  jump(spec: JumpSpec, before: string): Promise<Jump>;
}

/** One host of a ProxyJump. */
export interface JumpSpec {
  host: string;
  user?: string;
  port?: number;
}

/** Opens the way, in the phases `resolve` and `connect`. Fails with their kinds, or with what a jump host failed. */
export async function openWay(settings: SshSettings, options: WayOptions): Promise<SshSocket> {
  const way = await findWay(settings, options);
  joinWrites(way.stream);
  return way;
}

async function findWay(settings: SshSettings, options: WayOptions): Promise<SshSocket> {
  const { clock, signal, via } = options;
  signal.throwIfAborted();
  const deadline = settings.connectTimeout ?? undefined;
  if (via !== undefined) {
    clock.enter("connect", deadline);
    return await throughJump(settings, via, { signal, owned: false });
  }
  if (settings.proxyJump !== null) {
    clock.stop(); // the jump hosts have their own deadlines
    const { last, before } = splitJumps(settings.proxyJump);
    const jump = await options.jump(last, before);
    try {
      signal.throwIfAborted();
      clock.enter("connect", deadline);
      return await throughJump(settings, jump, { signal, owned: true });
    } catch (error) {
      jump.close();
      throw error;
    }
  }
  if (settings.proxyCommand !== null) {
    clock.enter("connect", deadline);
    return startProxyCommand(settings);
  }
  clock.enter("resolve");
  const addresses = await untilAborted(addressesOf(settings), signal);
  clock.enter("connect", deadline);
  return await connectTcp(settings, { addresses, signal });
}

async function throughJump(
  settings: SshSettings,
  jump: Jump,
  { signal, owned }: { signal: AbortSignal; owned: boolean },
): Promise<SshSocket> {
  const dialing = jump.dial(settings.hostname, settings.port);
  const pipe = await untilAborted(dialing, signal).catch((error) => {
    dialing.then((late) => late.close(), () => {});
    if (error === signal.reason) throw error;
    throw new HoldfastError(
      "connect",
      `Cannot connect to ${describe(settings)} through ${jump.description}: ${
        error instanceof HoldfastError ? error.message : printable(String(error))
      }\nCheck that the jump host can reach it (ssh ${jump.description.split(":")[0]} nc -vz ${
        printable(settings.hostname)
      } ${settings.port}) and allows forwarding`,
      { cause: error },
    );
  });
  return {
    stream: pipe.stream,
    complaint: () => "",
    dispose: async () => {
      pipe.close();
      if (!owned) return;
      jump.close();
      await jump.closed;
    },
  };
}

/** The jump host next to the target, and those before it, as ssh nests them. Fails with kind `resolve`. */
export function splitJumps(jumps: string): { last: JumpSpec; before: string } {
  const comma = jumps.lastIndexOf(",");
  return {
    last: parseJump(jumps.slice(comma + 1)),
    before: comma < 0 ? "" : jumps.slice(0, comma),
  };
}

/** `[user@]host[:port]`, `[user@][address]:port` or the same as `ssh://...`. */
function parseJump(text: string): JumpSpec {
  const match = /^(?:ssh:\/\/)?(?:(.*)@)?(?:\[([^\]]+)\]|([^:@]+))(?::(\d{1,5}))?\/?$/.exec(
    text.trim(),
  );
  const host = match?.[2] ?? match?.[3];
  const port = match?.[4] === undefined ? undefined : Number(match[4]);
  if (host === undefined || port === 0 || (port ?? 0) > 65535) {
    const text_ = `Cannot use jump host "${printable(text)}": expected [user@]host[:port]`;
    throw new HoldfastError("resolve", text_);
  }
  const user = match?.[1];
  checkHostName(host);
  if (user !== undefined) checkUserName(user);
  return { host, user, port };
}
