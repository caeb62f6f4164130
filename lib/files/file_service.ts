/** Carries files and trees for other contexts: one stream each, in either direction. */
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { Host, ProcessHost } from "../core/host.ts";
import { denoHost } from "./host_deno.ts";
import { nodeHost } from "./host_node.ts";
import type { StartServices } from "../core/context.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { Call, Service } from "../core/service.ts";
import { ReceiveStream, SendStream } from "../core/stream.ts";
import type { TreeTotals } from "./tree_format.ts";
import { receiveTree } from "./tree_receiver.ts";
import { sendTree } from "./tree_sender.ts";

/** Arguments of `file.send`. The reply is {@linkcode TreeTotals}. */
export interface SendArguments {
  /** The handle of a stream that the caller opened for receiving. */
  stream: number;
  /** Paths; relative ones are relative to the home. */
  sources: string[];
}

/** Arguments of `file.receive`. The reply is {@linkcode TreeTotals}, when all of it is in its place. */
export interface ReceiveArguments {
  /** The handle of a stream that the caller opened for sending. */
  stream: number;
  destination: string;
  /** See `ReceiveTreeOptions`. */
  names: (string | null)[];
}

export const start: StartServices = ({ host }) => {
  const files = new FileService(withFiles(host));
  return { services: { file: files.service }, close: () => files.close() };
};

/** The files of this machine, for a host that has none of its own. */
function withFiles(host: ProcessHost): Host {
  if ("openRead" in host) return host as Host;
  return host.runtime === "deno" ? denoHost : nodeHost();
}

/** The methods `send` and `receive`. */
export class FileService {
  readonly #host: Host;
  readonly #running: Set<Promise<unknown>> = new Set();

  constructor(host: Host) {
    this.#host = host;
  }

  get service(): Service {
    return {
      send: { policy: "parents", handle: (args, call) => this.#send(args, call) },
      receive: { policy: "parents", handle: (args, call) => this.#receive(args, call) },
    };
  }

  /** Resolves when transfers whose peers are gone have cleaned up after themselves. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  #send(args: JsonObject, call: Call): Promise<Json> {
    const { stream, sources } = args as unknown as SendArguments;
    // The stream first, without waiting: its frames may be right behind the call.
    const sink = SendStream.accept(call.router, { peer: call.src, id: stream });
    const options = { host: this.#host, sources };
    return this.#run(call, (reason) => sink.abort(reason), () => sendTree(sink, options));
  }

  #receive(args: JsonObject, call: Call): Promise<Json> {
    const { stream, destination, names } = args as unknown as ReceiveArguments;
    const source = ReceiveStream.accept(call.router, { peer: call.src, id: stream });
    const options = { host: this.#host, destination, names };
    return this.#run(
      call,
      (reason) => source.cancel(reason),
      () => receiveTree(source, options),
    );
  }

  /** Runs a transfer; `stop` breaks its stream and tells the peer why. */
  async #run(
    { signal }: Call,
    stop: (reason: HoldfastError) => void,
    transfer: () => Promise<TreeTotals>,
  ): Promise<Json> {
    const onAbort = () => stop(new HoldfastError("cancelled", "the transfer was cancelled"));
    signal.addEventListener("abort", onAbort);
    const running = transfer();
    this.#running.add(running);
    try {
      return await running as unknown as Json;
    } catch (error) {
      const reason = toHoldfastError(error);
      stop(reason);
      throw reason;
    } finally {
      this.#running.delete(running);
      signal.removeEventListener("abort", onAbort);
    }
  }
}
