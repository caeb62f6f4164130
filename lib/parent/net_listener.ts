/** Listens in a context for somebody above, who gets every connection as two streams. For `net_service.ts`. */
import { builtin } from "../core/builtin.ts";
import { HoldfastError } from "../core/errors.ts";
import type { ProcessHost } from "../core/host.ts";
import { nodeProcess } from "../core/node_process.ts";
import { quoteWord } from "../core/quote.ts";
import type { Call } from "../core/service.ts";
import { ReceiveStream, SendStream } from "../core/stream.ts";
import { carrySocket } from "./carry_socket.ts";
import { innerSshProgram } from "./inner_ssh.ts";

type Net = typeof import("node:net");
type Server = import("node:net").Server;
type Socket = import("node:net").Socket;

/** Connections of one listener at a time; one more is closed at once. */
const CONNECTIONS = 1024;

/** The umask for a Unix socket's file: others get nothing. */
const OTHERS = 0o177;

/** Where to listen. Of several places, one that can be had will do; port 0 is chosen with the first. */
export type Place = { host: string; port: number } | { path: string };

/** Arguments of `net.listen`. The reply is {@linkcode Listening}; it ends with `accepted`, or with the caller. */
export interface ListenArguments {
  places: Place[];
  /**
   * A handle of the caller, from which it gets {@linkcode Accepted} for each connection. A dead message to its mirror
   * ends the listener, not the connections.
   */
  accepted: number;
  /**
   * In place of `places`: a socket in a directory that only this user can enter, and that goes with it. `ssh`: beside it
   * is a program of that name that speaks to it, see `inner_ssh.ts`.
   */
  hidden?: "socket" | "ssh";
}

export interface Listening {
  port?: number;
  path?: string;
  /** Where programs are looked for here, the hidden directory first. */
  search?: string;
}

/** A connection; the streams were opened here. */
export interface Accepted {
  /** What it sends, and what it is to get. */
  incoming: number;
  outgoing: number;
}

export class NetListener {
  readonly #call: Call;
  readonly #accepted: number;
  readonly #host: ProcessHost;
  readonly #servers: Server[] = [];
  readonly #open: Set<Socket> = new Set();
  /** Connections of all listeners, which end with the context. */
  readonly #all: Set<Socket>;
  readonly #onClosed: (listener: NetListener) => void;
  #directory: string | null = null;
  #closed = false;

  constructor(
    call: Call,
    { accepted, host, open, onClosed }: {
      accepted: number;
      host: ProcessHost;
      open: Set<Socket>;
      onClosed: (listener: NetListener) => void;
    },
  ) {
    this.#onClosed = onClosed;
    this.#call = call;
    this.#accepted = accepted;
    this.#host = host;
    this.#all = open;
    const end = () => void this.close();
    call.router.addMirror(call.src, accepted, { from: call.src, onFrame() {}, onDead: end });
  }

  async open({ places, hidden }: ListenArguments): Promise<Listening> {
    try {
      const listening = hidden ? await this.#listenHidden(hidden) : await this.#listenOnAny(places);
      // The caller went meanwhile, when there was not all of it to close.
      if (this.#closed) throw new HoldfastError("cancelled", "Cannot listen: the caller is gone");
      return listening;
    } catch (error) {
      this.#call.router.removeMirror(this.#call.src, this.#accepted);
      await this.close();
      throw error;
    }
  }

  /** Listens no more; its connections go on. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#onClosed(this);
    for (const server of this.#servers) server.close();
    const directory = this.#directory;
    this.#directory = null;
    // The socket's file goes with its server, at the latest here.
    if (directory !== null) await fs().promises.rm(directory, { recursive: true, force: true });
  }

  async #listenOnAny(places: readonly Place[]): Promise<Listening> {
    let first: Listening | null = null;
    let failure: unknown = new HoldfastError("usage", "Cannot listen: there is no place");
    for (const place of places) {
      try {
        const port = "port" in place ? place.port || first?.port || 0 : 0;
        const listening = await this.#listen("path" in place ? place : { ...place, port });
        first ??= listening;
      } catch (error) {
        failure = error;
      }
    }
    if (!first) throw failure;
    return first;
  }

  #listen(place: Place): Promise<Listening> {
    const { createServer } = builtin("net") as Net;
    const server = createServer({ allowHalfOpen: true });
    server.on("connection", (socket) => this.#take(socket));
    return new Promise((resolve, reject) => {
      server.once("error", ({ code, message }: Error & { code?: string }) => {
        const name = "path" in place ? place.path : `${place.host} port ${place.port}`;
        const why = `Cannot listen on ${name}: ${WORDS[code ?? ""] ?? code ?? message}`;
        reject(new HoldfastError(code === "EACCES" ? "permission" : "io", why));
      });
      const process = nodeProcess();
      // The file is made before this returns.
      const mask = process.umask();
      if ("path" in place) process.umask(OTHERS);
      server.listen({ ...place, ipv6Only: true }, () => {
        this.#servers.push(server);
        if (this.#closed) server.close();
        const address = server.address();
        resolve("path" in place ? place : { port: (address as { port: number }).port });
      });
      process.umask(mask);
    });
  }

  #take(socket: Socket): void {
    if (this.#closed || this.#open.size >= CONNECTIONS) return void socket.destroy();
    for (const set of [this.#open, this.#all]) {
      set.add(socket);
      socket.once("close", () => set.delete(socket));
    }
    socket.on("error", () => {});
    const { router, src } = this.#call;
    const sink = SendStream.open(router, src);
    const source = ReceiveStream.open(router, src);
    const accepted: Accepted = { incoming: sink.id, outgoing: source.id };
    router.sendJson({ dst: src, handle: this.#accepted, replyTo: 0 }, { ...accepted });
    carrySocket(socket, { source, sink });
  }

  async #listenHidden(what: "socket" | "ssh"): Promise<Listening> {
    const { promises } = fs();
    const { tmpdir } = builtin("os") as typeof import("node:os");
    const directory = await promises.mkdtemp(`${tmpdir()}/holdfast-`);
    this.#directory = directory;
    await promises.chmod(directory, 0o700);
    const path = `${directory}/socket`;
    if (what === "ssh") {
      const program = `${directory}/ssh.cjs`;
      await promises.writeFile(program, innerSshProgram(path), { mode: 0o600 });
      const lines = ["#!/bin/sh", ...this.#startLines(program, `${directory}/cache`)];
      await promises.writeFile(`${directory}/ssh`, `${lines.join("\n")}\n`, { mode: 0o700 });
    }
    const { PATH = "/usr/bin:/bin" } = nodeProcess().env;
    return { ...await this.#listen({ path }), search: `${directory}:${PATH}` };
  }

  /** Lines of sh that run a script with this runtime. */
  #startLines(program: string, cache: string): string[] {
    const { runtime, runtimePath } = this.#host;
    const words = `${quoteWord(runtimePath!)} `;
    const script = `${quoteWord(program)} "$@"`;
    if (runtime !== "deno") return [`exec ${words}${script}`];
    const flags = "run --allow-all --quiet --no-config --no-lock --no-npm --no-remote ";
    const settings = `DENO_DIR=${quoteWord(cache)} DENO_NO_UPDATE_CHECK=1`;
    return [`export ${settings}`, `exec ${words}${flags}${script}`];
  }
}

const WORDS: Record<string, string> = {
  EADDRINUSE: "the address is in use",
  EADDRNOTAVAIL: "the address is none of this machine",
  EACCES: "permission denied",
  ENOENT: "there is no such directory",
};

function fs(): typeof import("node:fs") {
  return builtin("fs") as typeof import("node:fs");
}
