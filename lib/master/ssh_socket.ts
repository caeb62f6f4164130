/**
 * The byte pipe below an SSH connection: a TCP socket to whichever address answers, or a ProxyCommand.
 * Used by `ssh_connection.ts`; a ProxyJump's pipe is `SshConnection.dial` instead.
 */

import { lookup } from "node:dns/promises";
import { isIP, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import type { SshSettings } from "./ssh_settings.ts";

/** What ssh2 gets as its `sock`, and how to explain or free it. */
export interface SshSocket {
  stream: Duplex;
  /** What the way itself said, for error texts; "" when nothing. */
  complaint(): string;
  /** Frees everything below; idempotent. Resolves when all of it is gone. */
  dispose(): Promise<void>;
}

/** Milliseconds after which the next address is tried beside one that does not answer. */
const NEXT_ADDRESS_DELAY = 1_000;

/** The addresses of a host, in the system's order. Fails with kind `resolve`. */
export async function addressesOf(settings: SshSettings): Promise<string[]> {
  const { hostname } = settings;
  const family = { any: 0, inet: 4, inet6: 6 }[settings.addressFamily];
  if (isIP(hostname) !== 0) {
    if (family !== 0 && isIP(hostname) !== family) {
      throw unresolved(settings, "wrong AddressFamily");
    }
    return [hostname];
  }
  try {
    const found = await lookup(hostname, { all: true, family });
    if (found.length > 0) return found.map((entry) => entry.address);
  } catch (error) {
    throw unresolved(settings, (error as Error).message, error);
  }
  throw unresolved(settings, "it has no address");
}

/**
 * Connects to the first of `addresses` that answers. The next one is tried when the one before failed or
 * kept silent for a second. Fails with kind `connect` when all have failed; aborting rejects with the signal's reason.
 */
export function connectTcp(
  settings: SshSettings,
  options: { addresses: string[]; signal: AbortSignal },
): Promise<SshSocket> {
  const { addresses, signal } = options;
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const open = new Set<Socket>();
    const failures: string[] = [];
    let next = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const finish = (winner: Socket | null) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      for (const socket of open) if (socket !== winner) socket.destroy();
      open.clear();
    };
    const abort = () => {
      finish(null);
      reject(signal.reason);
    };
    const tryNext = () => {
      clearTimeout(timer);
      if (next === addresses.length) return;
      const address = addresses[next++];
      const socket = new Socket();
      open.add(socket);
      socket.once("connect", () => {
        if (!open.has(socket)) return;
        finish(socket);
        socket.removeAllListeners("error");
        socket.on("error", () => {}); // until ssh2 listens
        socket.setNoDelay(true);
        resolve(tcpSocket(socket));
      });
      socket.on("error", (error: NodeJS.ErrnoException) => {
        if (!open.delete(socket)) return;
        failures.push(`${address}: ${reasonOf(error)}`);
        if (failures.length === addresses.length) {
          finish(null);
          reject(unconnected(settings, failures.join("; "), error));
        } else tryNext();
      });
      const localAddress = settings.bindAddress ?? undefined;
      socket.connect({ host: address, port: settings.port, localAddress });
      timer = setTimeout(tryNext, NEXT_ADDRESS_DELAY);
    };
    signal.addEventListener("abort", abort);
    tryNext();
  });
}

function tcpSocket(socket: Socket): SshSocket {
  const dispose = () => {
    socket.destroy();
    return Promise.resolve();
  };
  return { stream: socket, complaint: () => "", dispose };
}

function reasonOf(error: NodeJS.ErrnoException & { address?: string }): string {
  if (error.syscall === "bind") return `cannot bind to BindAddress ${error.address}`;
  const known: Record<string, string> = {
    ECONNREFUSED: "connection refused",
    EHOSTUNREACH: "no route to host",
    ENETUNREACH: "network unreachable",
    ETIMEDOUT: "timed out",
    ECONNRESET: "connection reset",
  };
  return known[error.code ?? ""] ?? printable(error.message);
}

function unresolved(settings: SshSettings, reason: string, cause?: unknown): HoldfastError {
  const where = `${printable(settings.hostname)}`;
  return new HoldfastError(
    "resolve",
    `Cannot resolve ${where} (for ${describe(settings)}): ${printable(reason)}\n` +
      "Check the spelling, ~/.ssh/config (HostName) and the name server",
    { cause },
  );
}

function unconnected(settings: SshSettings, reason: string, cause?: unknown): HoldfastError {
  return new HoldfastError(
    "connect",
    `Cannot connect to ${describe(settings)}: ${reason}\n` +
      "Check that the host is up, that sshd listens on this port, and that no firewall is in between",
    { cause },
  );
}

/** `user@host:port`, safe to show. */
export function describe(settings: SshSettings): string {
  const { user, hostname, port } = settings;
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  return printable(`${user}@${host}:${port}`);
}
