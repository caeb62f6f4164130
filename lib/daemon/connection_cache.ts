/** The connections that are held, by what decides where they lead and who one is there. */
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { Ask } from "../master/ask.ts";
import type { StackFiles } from "../stacks/stack_files.ts";
import type { Settings } from "../rendezvous/settings.ts";
import type { AskpassDesk } from "./askpass_desk.ts";
import type { Connection, ConnectionStatus } from "./connection.ts";
import { HopConnection } from "./hop_connection.ts";
import { HostConnection } from "./host_connection.ts";
import type { Log } from "./log.ts";
import type { Held } from "./plain_ssh.ts";
import type { Provisioner } from "./provisioner.ts";
import { type OpenRequest, Planner, type Step } from "./planner.ts";
import type { Tree } from "./tree.ts";
import { removeProvisioned } from "./remove_provisioned.ts";

/** Milliseconds between two looks at all connections. */
const WATCH_INTERVAL = 1000;

/** What a client is told. */
export interface Opened {
  context: number;
  /** Those that it asked for and that ssh_config has. */
  keywords?: Record<string, string[]>;
}

export interface CacheOptions {
  tree: Tree;
  /** Where names of stacks are looked up. */
  files: StackFiles;
  provisioner: Provisioner;
  /** Where ssh asks its questions. */
  desk: AskpassDesk;
  settings: Settings;
  log: Log;
  /** What hosts' control sockets are called. */
  controlPath: string;
  /** Called when the last connection has gone. */
  onEmpty: () => void;
  /** Called each time that somebody has been given a connection. */
  onHeld: (held: Held) => void;
}

/**
 * The cache.
 *
 * - Shared: requests with one key share one connection, and one attempt to make it; so do stacks with one beginning.
 * - A connection that failed or was lost is forgotten at once: the next request makes a new one.
 * - Idle connections close after `settings.idleTimeout`, or when the cap needs their place.
 */
export class ConnectionCache {
  readonly #options: CacheOptions;
  readonly #connections: Map<string, Connection> = new Map();
  /** Still used, and given to nobody any more. */
  readonly #retired: Set<Connection> = new Set();
  readonly #planner: Planner;
  #watcher: ReturnType<typeof setInterval> | undefined;

  constructor(options: CacheOptions) {
    this.#options = options;
    this.#planner = new Planner(options);
  }

  get size(): number {
    return this.#connections.size + this.#retired.size;
  }

  status(): ConnectionStatus[] {
    return this.#all().map((connection) => connection.status());
  }

  /** Opens a target for a client, which holds it from then on; `ask` reaches that client's user. */
  async open(
    request: OpenRequest,
    options: { client: number; ask: Ask | null; signal: AbortSignal },
  ): Promise<Opened> {
    const { client, ask, signal } = options;
    const { steps } = await this.#planner.plan(request, signal);
    // It may have left meanwhile, and nobody would release what it held.
    if (signal.aborted) throw new HoldfastError("cancelled", "the client is gone");
    const made: Connection[] = [];
    let connection: Connection | null = null;
    try {
      for (const step of steps) {
        const found = this.#connections.get(step.key);
        connection = this.#take(step, connection);
        if (connection !== found) made.push(connection);
        if (ask) connection.askers.set(client, ask);
      }
    } catch (error) {
      for (const one of made) one.close(toHoldfastError(error));
      throw error;
    }
    connection!.clients.add(client);
    const last = steps.at(-1)!;
    const { provision } = last;
    const context = await connection!.open(request.purpose ?? "command", { provision, signal });
    const settings = last.kind === "host" ? last.settings : undefined;
    this.#options.onHeld({ connection: connection!, settings, request, hops: steps.length });
    return { context, keywords: request.keywords && keywordsOf(steps, request.keywords) };
  }

  /** Forgets a client; what nobody holds becomes idle. */
  release(client: number): void {
    for (const connection of this.#all()) {
      connection.askers.delete(client);
      if (connection.clients.delete(client)) connection.lastUsed = performance.now();
    }
  }

  /** Closes the connections to a target; returns how many. */
  async disconnect(request: OpenRequest, signal: AbortSignal): Promise<number> {
    const { steps, target } = await this.#planner.plan(request, signal);
    const { key } = steps.at(-1)!;
    const found = this.#all().filter((connection) =>
      connection.key === key || connection.target === target
    );
    const reason = new HoldfastError(
      "disconnected",
      `${target}: disconnected by holdfast disconnect`,
    );
    for (const connection of found) connection.close(reason);
    return found.length;
  }

  /** The connection that a request would be given, as far as it has been made; null when there is none. */
  async find(request: OpenRequest, signal: AbortSignal): Promise<Connection | null> {
    const { steps } = await this.#planner.plan(request, signal);
    const found = this.#connections.get(steps.at(-1)!.key);
    return found && !found.isClosed && found.status().state !== "connecting" ? found : null;
  }

  /** Closes a connection once nobody uses it; others who want the same get a new one from now on. */
  retire(connection: Connection): void {
    if (connection.isIdle) {
      const { target } = connection;
      return connection.close(new HoldfastError("disconnected", `${target}: it was given up`));
    }
    this.#connections.delete(connection.key);
    this.#retired.add(connection);
  }

  /**
   * Removes the runtime that a target was given, and ends the connection to it, which may be running on that; returns
   * the paths that are gone.
   */
  async unprovision(
    request: OpenRequest,
    options: { client: number; ask: Ask | null; signal: AbortSignal },
  ): Promise<string[]> {
    const ssh = { ...request.ssh, provision: "never" as const };
    const { context } = await this.open({ ...request, ssh }, options);
    const removed = await removeProvisioned(this.#options.tree.router, context);
    if (removed.length > 0) await this.disconnect(request, options.signal);
    return removed;
  }

  /** Closes all; resolves when what ran over them has had its chance to end. */
  async close(reason: HoldfastError): Promise<void> {
    const connections = this.#all();
    for (const connection of connections) connection.close(reason);
    await Promise.all(connections.map((connection) => connection.closed));
  }

  /** The connection for a step: the one that is held, or a new one. */
  #take(step: Step, above: Connection | null): Connection {
    let connection = this.#connections.get(step.key);
    if (connection?.isOutgrown(step.provision) && connection.isUnused) {
      connection.close(new HoldfastError("disconnected", `${step.target}: there is a better way`));
    }
    if (!connection || connection.isClosed) connection = this.#create(step, above);
    this.#connections.delete(step.key);
    this.#connections.set(step.key, connection);
    return connection;
  }

  #create(step: Step, above: Connection | null): Connection {
    this.#makeRoom(above);
    const { tree, log, provisioner } = this.#options;
    const common = { key: step.key, target: step.target, above, tree, log };
    const connection: Connection = step.kind === "host"
      ? new HostConnection({
        ...common,
        provisioner,
        reach: (signal) => step.reach({ above, ask: connection.ask, signal }),
      })
      : new HopConnection({ ...common, ...step, provisioner, above: above! });
    void connection.closed.then((reason) => {
      if (this.#connections.get(step.key) === connection) this.#connections.delete(step.key);
      this.#retired.delete(connection);
      log("info", `${step.target}: closed: ${reason.message}`);
      if (this.size > 0) return;
      clearInterval(this.#watcher);
      this.#watcher = undefined;
      this.#options.onEmpty();
    });
    this.#watcher ??= setInterval(() => this.#watch(), WATCH_INTERVAL);
    return connection;
  }

  /** The order of the map is the order of use: the first idle one is the least recently used. */
  #makeRoom(above: Connection | null): void {
    const { maxConnections } = this.#options.settings;
    if (this.size < maxConnections) return;
    for (const connection of this.#connections.values()) {
      if (!connection.isIdle || connection === above) continue;
      connection.close(
        new HoldfastError("disconnected", `${connection.target}: closed to make room for another`),
      );
      this.#connections.delete(connection.key);
      return;
    }
    throw new HoldfastError(
      "limit",
      `Cannot hold another connection: all ${maxConnections} are in use; set HOLDFAST_MAX_CONNECTIONS`,
    );
  }

  #watch(): void {
    const now = performance.now();
    const { idleTimeout } = this.#options.settings;
    for (const connection of this.#connections.values()) connection.watch(now, { idleTimeout });
    for (const connection of this.#retired) connection.watch(now, { idleTimeout: 0 });
  }

  #all(): Connection[] {
    return [...this.#connections.values(), ...this.#retired];
  }
}

function keywordsOf(steps: Step[], wanted: readonly string[]): Record<string, string[]> {
  const last = steps.findLast((step) => step.kind === "host" && step.settings);
  const raw = last?.kind === "host" ? last.settings?.raw : undefined;
  return Object.fromEntries(
    wanted.map(String).flatMap((name) => {
      const values = raw?.get(name);
      return values ? [[name, [...values]]] : [];
    }),
  );
}
