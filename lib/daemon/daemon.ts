/**
 * The daemon: the root of the tree. It listens on the user's socket, lets authenticated clients in as leaf
 * contexts that act with its own authority, and routes between them and the connections it holds.
 */
import { SENT_ENVIRONMENT } from "../client/session.ts";
import { CALL_SERVICE, FIRST_DYNAMIC_HANDLE, FORWARD_LOG } from "../core/constants.ts";
import { HoldfastError } from "../core/errors.ts";
import { encodeGreeting, type Greeting, readGreeting } from "../core/greeting.ts";
import type { Transport } from "../core/host.ts";
import { type Frame, makeFrame } from "../core/frame.ts";
import { decodeJson, encodeJson, type Json, type JsonObject } from "../core/json.ts";
import { Link } from "../core/link.ts";
import type { Router } from "../core/router.ts";
import { serve } from "../core/service.ts";
import type { Ask } from "../master/ask.ts";
import { StackFiles } from "../stacks/stack_files.ts";
import { controlPathPattern } from "../rendezvous/control_path.ts";
import { socketTransport } from "../rendezvous/socket_transport.ts";
import type { Settings } from "../rendezvous/settings.ts";
import type { RuntimeDir } from "../rendezvous/runtime_dir.ts";
import { VERSION } from "../rendezvous/version.ts";
import { AskpassDesk } from "./askpass_desk.ts";
import { ConnectionCache } from "./connection_cache.ts";
import type { Log } from "./log.ts";
import type { OpenRequest } from "./planner.ts";
import { type OwnClient, PlainSsh } from "./plain_ssh.ts";
import { Provisioner } from "./provisioner.ts";
import { describeStack } from "./stack_service.ts";
import { Tree } from "./tree.ts";

/** Milliseconds that a new client has for its greeting. */
const GREETING_DEADLINE = 10_000;

export interface DaemonOptions {
  dir: RuntimeDir;
  settings: Settings;
  cookie: string;
  /** Whose daemon it is, for people: `ann@laptop:4711`. */
  owner: string;
  log: Log;
  /** The built file that was started, absolute; undefined in a source tree. */
  launched?: string;
  /** Gives up the socket and the lock, so that another daemon can start; this one carries on its work. */
  onRetire: () => void;
}

export class Daemon {
  /** Resolves when the daemon has nothing left to do, or was stopped. */
  readonly finished: Promise<void>;
  readonly #options: DaemonOptions;
  readonly #tree: Tree;
  readonly #router: Router;
  readonly #cache: ConnectionCache;
  readonly #files: StackFiles = new StackFiles();
  readonly #desk: AskpassDesk;
  readonly #plainSsh: PlainSsh;
  /** By context id, with the way to end each. */
  readonly #clients: Map<number, () => void> = new Map();
  readonly #startedAt = performance.now();
  #retired = false;
  #idleTimer: ReturnType<typeof setTimeout> | undefined;
  #finish: () => void = () => {};

  constructor(options: DaemonOptions) {
    this.#options = options;
    const { settings, log } = options;
    this.finished = new Promise((resolve) => this.#finish = resolve);
    this.#tree = new Tree({ owner: options.owner, log });
    this.#router = this.#tree.router;
    this.#desk = new AskpassDesk(options.dir);
    this.#cache = new ConnectionCache({
      tree: this.#tree,
      files: this.#files,
      desk: this.#desk,
      provisioner: new Provisioner(options.launched),
      settings,
      log,
      controlPath: controlPathPattern(options.dir),
      onEmpty: () => this.#considerIdle(),
      onHeld: (held) => this.#plainSsh.offer(held),
    });
    this.#plainSsh = new PlainSsh({
      dir: options.dir,
      router: this.#router,
      log,
      client: (end) => this.#ownClient(end),
      retire: (connection) => this.#cache.retire(connection),
    });
    serve(this.#router, this.#services());
    this.#router.setStandardHandler(FORWARD_LOG, (frame) => this.#logFrom(frame));
    this.#considerIdle();
  }

  /** Serves one accepted connection until it ends; never rejects. */
  async accept(conn: Deno.Conn): Promise<void> {
    const transport = socketTransport(conn);
    const timer = setTimeout(() => transport.close(), GREETING_DEADLINE);
    try {
      const first = await transport.read();
      if (first === null) return;
      // A length below 2^56: no greeting begins so.
      if (first[0] === 0) {
        return await this.#serveFrames(withFirst(transport, first), () => clearTimeout(timer));
      }
      const { greeting, rest } = await readGreeting(withFirst(transport, first));
      clearTimeout(timer);
      const refused = this.#check(greeting);
      if (refused) {
        const error = { ...refused.toWire() };
        await transport.write(encodeGreeting({ version: VERSION, pid: Deno.pid, error }));
      } else if (greeting.body.retire === true) {
        await this.#retire();
        await transport.write(encodeGreeting({ version: VERSION, pid: Deno.pid, retired: true }));
      } else {
        await this.#serveClient(transport, { rest, call: greeting.body.call });
      }
    } catch (error) {
      this.#options.log("debug", `a client was turned away: ${(error as Error).message}`);
    } finally {
      clearTimeout(timer);
      transport.close();
    }
  }

  /** Ends every connection; what waits fails with `why`. */
  stop(why: string): void {
    const reason = new HoldfastError("disconnected", `the daemon was stopped: ${why}`);
    const withdrawn = this.#plainSsh.close();
    void Promise.all([withdrawn, this.#cache.close(reason)]).then(() => this.#finish());
    for (const end of this.#clients.values()) end();
  }

  /** What a context has to say, or code in it; it is untrusted, and no louder than a warning. */
  #logFrom({ src, payload }: Frame): void {
    const { level, text } = decodeJson(payload);
    const known = level === "info" || level === "debug" ? level : "warn";
    const lines = this.#tree.locate(String(text).slice(0, 16 * 1024)).split("\n");
    for (const line of lines.slice(0, 100)) {
      this.#options.log(known, `${this.#tree.nameOf(src)} says: ${line.slice(0, 1000)}`);
    }
  }

  #check(greeting: Greeting): HoldfastError | null {
    if (!equal(String(greeting.body.cookie), this.#options.cookie)) {
      return new HoldfastError("refused", "the cookie is not this daemon's");
    }
    if (greeting.body.version !== VERSION && greeting.body.retire !== true) {
      return new HoldfastError("version", `this daemon is version ${VERSION}`);
    }
    return null;
  }

  /** `call` is the client's first call, which came with its greeting and is answered under its first handle. */
  async #serveClient(
    transport: Transport,
    { rest, call }: { rest: Uint8Array; call?: Json },
  ): Promise<void> {
    const id = this.#tree.ids.take();
    const link = new Link(id, transport, { privileged: true });
    this.#router.addRoute(id, link);
    this.#clients.set(id, () => link.close(null));
    clearTimeout(this.#idleTimer);
    const called = call !== undefined;
    const welcome = { id, parents: [this.#router.id], version: VERSION, pid: Deno.pid, called };
    try {
      await transport.write(encodeGreeting(welcome));
    } catch (error) {
      this.#forget(id, link);
      throw error;
    }
    if (called) {
      const header = { dst: this.#router.id, src: id, auth: id, handle: CALL_SERVICE };
      const frame = makeFrame({ ...header, replyTo: FIRST_DYNAMIC_HANDLE }, encodeJson(call));
      this.#router.receive(frame, link);
    }
    await link.run({
      onFrame: (frame) => this.#tree.receive(frame, link),
      onClose: () => this.#forget(id, link),
    }, rest);
  }

  /** Length frames: for these clients the daemon is its own client. There is nobody who could be asked. */
  async #serveFrames(transport: Transport, onWelcome: () => void): Promise<void> {
    const { serveLengthFrames } = await import("./length_frames.ts");
    const env: Record<string, string> = {};
    for (const name of SENT_ENVIRONMENT) {
      const value = Deno.env.get(name);
      if (value !== undefined) env[name] = value;
    }
    let client: OwnClient | null = null;
    try {
      await serveLengthFrames(transport, {
        authenticate: (cookie) => {
          if (!equal(cookie, this.#options.cookie)) return false;
          onWelcome();
          client = this.#ownClient(() => transport.close());
          return true;
        },
        connect: async () => ({
          router: this.#router,
          open: async ({ signal = new AbortController().signal, ...request }) =>
            (await client!.open({ ...request, env, cwd: "/" }, signal)).context,
          [Symbol.asyncDispose]: async () => {},
        }),
      });
    } finally {
      (client as OwnClient | null)?.release();
    }
  }

  /** The daemon as its own client, for those who do not speak our protocol; `end` is called when it stops. */
  #ownClient(end: () => void): OwnClient {
    const id = this.#tree.ids.take();
    this.#clients.set(id, end);
    clearTimeout(this.#idleTimer);
    return {
      open: (request, signal) => this.#cache.open(request, { client: id, ask: null, signal }),
      release: () => {
        this.#clients.delete(id);
        this.#cache.release(id);
        this.#considerIdle();
      },
    };
  }

  #forget(id: number, link: Link): void {
    this.#clients.delete(id);
    this.#router.removeLink(link, new HoldfastError("disconnected", "the client is gone"));
    this.#cache.release(id);
    this.#considerIdle();
  }

  async #retire(): Promise<void> {
    if (this.#retired) return;
    this.#retired = true;
    this.#options.log("info", "retiring: a client of another version takes over");
    await this.#plainSsh.close(); // before another daemon has sockets there
    this.#options.onRetire();
    this.#considerIdle();
  }

  #considerIdle(): void {
    clearTimeout(this.#idleTimer);
    if (this.#clients.size > 0) return;
    if (this.#retired) return this.stop("it was replaced");
    if (this.#cache.size > 0) return;
    const { daemonTimeout } = this.#options.settings;
    this.#idleTimer = setTimeout(() => this.stop("it was idle"), daemonTimeout);
  }

  #services() {
    return {
      connection: {
        open: {
          policy: "parents",
          handle: async (args: JsonObject, call: { src: number; signal: AbortSignal }) => {
            const request = args as unknown as OpenRequest;
            const options = { client: call.src, ask: this.#ask(call.src), signal: call.signal };
            return { ...await this.#cache.open(request, options) };
          },
        },
        unprovision: {
          policy: "parents",
          handle: async (args: JsonObject, call: { src: number; signal: AbortSignal }) => {
            const request = args as unknown as OpenRequest;
            const options = { client: call.src, ask: this.#ask(call.src), signal: call.signal };
            return { removed: await this.#cache.unprovision(request, options) };
          },
        },
        disconnect: {
          policy: "parents",
          handle: async (args: JsonObject, call: { signal: AbortSignal }) => {
            const request = args as unknown as OpenRequest;
            return { closed: await this.#cache.disconnect(request, call.signal) };
          },
        },
        ...this.#control(),
      },
      module: {
        provide: {
          policy: "parents",
          handle: async ({ context, url }: JsonObject) => ({
            module: await this.#tree.provide(context as number, String(url)),
          }),
        },
        locate: {
          policy: "parents",
          handle: ({ stack }: JsonObject) => ({ stack: this.#tree.locate(String(stack)) }),
        },
      },
      routing: {
        grant: {
          policy: "parents",
          handle: ({ a, b }: JsonObject) => this.#tree.grant(Number(a), Number(b)),
        },
        detach: {
          policy: "parents",
          handle: ({ context }: JsonObject) => this.#tree.detach(Number(context)),
        },
      },
      askpass: {
        ask: {
          policy: "parents",
          handle: (args: JsonObject, { signal }: { signal: AbortSignal }) =>
            this.#desk.ask(args, signal),
        },
      },
      stack: {
        resolve: {
          policy: "parents",
          handle: (args: JsonObject, { signal }: { signal: AbortSignal }) =>
            describeStack(args as unknown as OpenRequest, { files: this.#files, signal }),
        },
      },
      daemon: {
        status: { policy: "parents", handle: () => this.#status() },
        stop: {
          policy: "parents",
          handle: () => {
            // The reply first.
            setTimeout(() => this.stop("holdfast stop"), 0);
            return { pid: Deno.pid };
          },
        },
      },
    } as const;
  }

  /** What `ssh -O` asks of a connection that is held; null when none is. */
  #control() {
    const find = (args: JsonObject, { signal }: { signal: AbortSignal }) =>
      this.#cache.find(args as unknown as OpenRequest, signal);
    return {
      /** Who uses it: clients can be asked for their forwards. */
      check: {
        policy: "parents",
        handle: async (args: JsonObject, call: { signal: AbortSignal }) => {
          const found = await find(args, call);
          return found && { pid: Deno.pid, clients: [...found.clients] };
        },
      },
      retire: {
        policy: "parents",
        handle: async (args: JsonObject, call: { signal: AbortSignal }) => {
          const found = await find(args, call);
          if (found) this.#cache.retire(found);
          return found && {};
        },
      },
    } as const;
  }

  /** Asks the user of a client; null when that client is gone. */
  #ask(client: number): Ask {
    return async (question, { signal } = {}) => {
      const request = { service: "client", method: "ask", args: { ...question } };
      const answer = await this.#router.call(client, request, { signal }).catch(() => null);
      return typeof answer === "string" ? answer : null;
    };
  }

  #status(): JsonObject {
    return {
      pid: Deno.pid,
      version: VERSION,
      uptime: Math.round((performance.now() - this.#startedAt) / 1000),
      clients: this.#clients.size,
      memory: Deno.memoryUsage().rss,
      retired: this.#retired,
      connections: this.#cache.status().map((connection) => ({ ...connection })),
    };
  }
}

/** A transport whose first read yields `first` again. */
function withFirst(transport: Transport, first: Uint8Array): Transport {
  let pending: Uint8Array | null = first;
  return {
    read() {
      const bytes = pending;
      pending = null;
      return bytes ? Promise.resolve(bytes) : transport.read();
    },
    write: (bytes) => transport.write(bytes),
    close: () => transport.close(),
  };
}

/** Compares in a time that does not depend on where they differ. */
function equal(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < b.length; i++) {
    difference |= a.charCodeAt(i % (a.length || 1)) ^ b.charCodeAt(i);
  }
  return difference === 0;
}
