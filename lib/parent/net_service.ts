/**
 * Connections that a context makes and takes for others: what an SSH hop behind it runs over, and what `ssh` forwards.
 * Shipped on demand.
 */
import { builtin } from "../core/builtin.ts";
import type { StartServices } from "../core/context.ts";
import { HoldfastError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { Call } from "../core/service.ts";
import { ReceiveStream, SendStream } from "../core/stream.ts";
import { carrySocket } from "./carry_socket.ts";
import { type ListenArguments, NetListener } from "./net_listener.ts";

type Net = typeof import("node:net");
type Socket = import("node:net").Socket;

/** Arguments of `net.dial`. The reply is null, when it is connected; the streams live on. */
export interface DialArguments {
  host: string;
  port: number;
  /** A Unix socket, in their place. */
  path?: string;
  /** Handles that the caller opened: what is sent there, and what comes from there. */
  outgoing: number;
  incoming: number;
}

export const start: StartServices = (context) => {
  const open = new Set<Socket>();
  const listeners = new Set<NetListener>();
  const forget = (listener: NetListener) => void listeners.delete(listener);
  return {
    services: {
      net: {
        dial: { policy: "parents", handle: (args, call) => dial(args, call, open) },
        listen: {
          policy: "parents",
          async handle(args, call) {
            const { host } = context;
            const { accepted, ...wanted } = args as unknown as ListenArguments;
            const listener = new NetListener(call, { accepted, host, open, onClosed: forget });
            listeners.add(listener);
            return { ...await listener.open({ accepted, ...wanted }) };
          },
        },
      },
    },
    async close() {
      for (const socket of open) socket.destroy();
      await Promise.all([...listeners].map((listener) => listener.close()));
    },
  };
};

async function dial(args: JsonObject, call: Call, open: Set<Socket>): Promise<Json> {
  const { host, port, path, outgoing, incoming } = args as unknown as DialArguments;
  const at = (id: number) => ({ peer: call.src, id });
  const source = ReceiveStream.accept(call.router, at(outgoing));
  const sink = SendStream.accept(call.router, at(incoming));
  const socket = (builtin("net") as Net).connect(path === undefined ? { host, port } : { path });
  open.add(socket);
  socket.once("close", () => open.delete(socket));
  const abort = () => socket.destroy(new Error("the call was cancelled"));
  call.signal.addEventListener("abort", abort);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const reason = new HoldfastError("connect", WORDS[code ?? ""] ?? message);
    source.cancel(reason);
    sink.abort(reason);
    throw reason;
  } finally {
    call.signal.removeEventListener("abort", abort);
  }
  carrySocket(socket, { source, sink });
  return null;
}

const WORDS: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network unreachable",
  ETIMEDOUT: "timed out",
  ENOTFOUND: "the name cannot be resolved",
};
