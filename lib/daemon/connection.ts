/**
 * One held connection: what is common to hosts (`host_connection.ts`) and to hops behind them
 * (`hop_connection.ts`). Owned by the cache; what it opened closes with it.
 */
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { Host } from "../core/host.ts";
import { untilAborted } from "../core/until_aborted.ts";
import type { Ask } from "../master/ask.ts";
import type { ProvisionPolicy } from "../rendezvous/provision_policy.ts";
import type { DialledTransport } from "../master/endpoint.ts";
import type { Log } from "./log.ts";
import type { Tree } from "./tree.ts";

/** What a caller wants a context for; see `client/session.ts`. `hop`: to open another one behind it. */
export type Purpose =
  | "command"
  | "code"
  | "files"
  | "terminal"
  | "channel"
  | "sftp"
  | "net"
  | "hop";

export interface ConnectionOptions {
  key: string;
  /** The stack in canonical words. */
  target: string;
  /** What it goes through; held for as long as this one lasts. */
  above: Connection | null;
  tree: Tree;
  log: Log;
}

/** How a connection stands, for `status`. */
export interface ConnectionStatus {
  /** Counts the daemon's connections. */
  id: number;
  /** The one that it goes through. */
  above: number | null;
  target: string;
  description: string;
  state: "connecting" | "starting" | "ready" | "direct" | "closed";
  runtime: string | null;
  /** Context id of the core, or of the direct context. */
  context: number | null;
  clients: number;
  /** Connections that go through it. */
  holders: number;
  /** Seconds since it was made, and since it was last used. */
  age: number;
  idle: number;
  /** How it stands with a runtime for a host that has none; null when there is nothing to say. */
  provision: string | null;
  /** Bytes over the core's link. */
  received: number;
  sent: number;
}

export interface OpenOptions {
  /** Whether it is given a runtime when it lacks one. */
  provision?: ProvisionPolicy;
  /** Gives up waiting. */
  signal?: AbortSignal;
}

/** What a kind of connection knows of itself. */
export type ConnectionDetails = Pick<
  ConnectionStatus,
  "description" | "state" | "runtime" | "context" | "provision" | "received" | "sent"
>;

/** Milliseconds that what is served directly gets to end what it runs: process groups get HUP, TERM and KILL in them. */
const ENDING = 6000;

/** Milliseconds after a first command when its answer is not waited for any more. */
const QUIET = 100;

let made = 0;

export abstract class Connection {
  readonly key: string;
  readonly target: string;
  readonly above: Connection | null;
  /** Contexts of clients that hold it. */
  readonly clients: Set<number> = new Set();
  /** How to reach the users of those clients that wait for it, or have. */
  readonly askers: Map<number, Ask> = new Map();
  /** Connections that go through it. */
  readonly holders: Set<Connection> = new Set();
  /** Resolves when it has ended, with the reason. */
  readonly closed: Promise<HoldfastError>;
  lastUsed: number = performance.now();

  protected readonly tree: Tree;
  protected readonly log: Log;
  /** Aborted when it closes. */
  protected readonly abort: AbortController = new AbortController();
  /** Why it closed; null while it is open. */
  protected reason: HoldfastError | null = null;
  readonly #id = ++made;
  readonly #madeAt = performance.now();
  #reached: Promise<void> | null = null;
  #prepared = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #onClosed: (reason: HoldfastError) => void = () => {};

  constructor({ key, target, above, tree, log }: ConnectionOptions) {
    this.key = key;
    this.target = target;
    this.above = above;
    this.tree = tree;
    this.log = log;
    this.closed = new Promise((resolve) => this.#onClosed = resolve);
    above?.holders.add(this);
  }

  get isClosed(): boolean {
    return this.reason !== null;
  }

  /** Nobody uses it, nor anything behind it. */
  get isIdle(): boolean {
    return this.clients.size === 0 && this.holders.size === 0;
  }

  /** No client uses it, nor anything behind it, though it may be held. */
  get isUnused(): boolean {
    return this.clients.size === 0 && [...this.holders].every((holder) => holder.isUnused);
  }

  /** One that is made now, for somebody with this policy, would do more than it. */
  isOutgrown(_provision: ProvisionPolicy): boolean {
    return false;
  }

  /** Asks one of its users: the first that is there. Null when none is, or that one declined. */
  readonly ask: Ask = async (question, how) => {
    for (const [client, ask] of this.askers) {
      const answer = await ask(question, how);
      if (answer !== null || this.askers.has(client)) return answer;
    }
    return null;
  };

  /** The context to use for `purpose`. Rejects with why the target cannot be reached. */
  async open(
    purpose: Purpose,
    { provision = "never", signal }: OpenOptions = {},
  ): Promise<number> {
    this.#reached ??= this.#reach();
    try {
      const opening = this.contextFor(purpose, this.#reached, provision);
      const context = await (signal ? untilAborted(opening, signal) : opening);
      if (this.reason) throw this.reason;
      if (purpose !== "hop") this.#prepareForMore(context);
      return context;
    } finally {
      this.lastUsed = performance.now();
    }
  }

  /** Once somebody uses its core: what makes further commands faster goes there when nothing else does. */
  #prepareForMore(context: number): void {
    if (this.#prepared || this.details().context !== context || !this.details().runtime) return;
    this.#prepared = true;
    this.#timer = setTimeout(() => void this.tree.require(context, "spare").catch(() => {}), QUIET);
  }

  /**
   * Looks after it; called about once a second with `performance.now()`. Closes it when nobody has held it for
   * `idleTimeout` milliseconds, or when it has been silent for too long.
   */
  watch(now: number, { idleTimeout }: { idleTimeout: number }): void {
    if (this.isIdle && now - this.lastUsed > idleTimeout) {
      this.close(new HoldfastError("disconnected", `${this.target}: it was idle`));
    } else this.checkLife(now);
  }

  status(): ConnectionStatus {
    const now = performance.now();
    return {
      id: this.#id,
      above: this.above ? this.above.#id : null,
      target: this.target,
      ...this.details(),
      ...this.reason ? { state: "closed" } : {},
      clients: this.clients.size,
      holders: this.holders.size,
      age: Math.round((now - this.#madeAt) / 1000),
      idle: this.isIdle ? Math.round((now - this.lastUsed) / 1000) : 0,
    };
  }

  /** Ends it and everything behind it; waiting calls fail with `reason`. Idempotent. */
  close(reason: HoldfastError): void {
    if (this.reason) return;
    this.reason = reason;
    const { kind, message } = reason;
    for (const holder of [...this.holders]) {
      const named = message.startsWith(this.target) ? message : `${this.target}: ${message}`;
      holder.close(
        new HoldfastError(kind, `${holder.target}: what it goes through ended: ${named}`),
      );
    }
    this.abort.abort(reason);
    clearTimeout(this.#timer);
    void this.leave(reason).then(() => {
      const { above } = this;
      if (above?.holders.delete(this)) above.lastUsed = performance.now();
      this.#onClosed(reason);
    });
  }

  /** Once it is open: where the tools of hops behind it run when it has no core to run them. */
  get direct(): Host | null {
    return null;
  }

  /**
   * Resolves when what is served directly behind it, in turn as well, has ended what it runs: that is done by tools that
   * this one starts. Null when nothing is. For `leave`, when all that is being closed.
   */
  protected endOfDirect(): Promise<unknown> | null {
    const ends = [...this.holders].flatMap((holder) =>
      (holder.direct ? holder.closed : holder.endOfDirect()) ?? []
    );
    if (ends.length === 0) return null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => timer = setTimeout(resolve, ENDING));
    return Promise.race([Promise.all(ends), late]).finally(() => clearTimeout(timer));
  }

  /** Connects from there to another host, where that needs no context. */
  dial?(host: string, port: number): Promise<DialledTransport>;

  /** Makes it; rejects with why it cannot be made. */
  protected abstract reach(): Promise<void>;
  /** The context for `purpose`, once `reached` allows it. */
  protected abstract contextFor(
    purpose: Purpose,
    reached: Promise<void>,
    provision: ProvisionPolicy,
  ): Promise<number>;
  /** Ends what `reach` made; resolves when that is gone. */
  protected abstract leave(reason: HoldfastError): Promise<void>;
  /** Closes it when it has not answered for too long. */
  protected abstract checkLife(now: number): void;
  protected abstract details(): ConnectionDetails;

  async #reach(): Promise<void> {
    try {
      await this.reach();
    } catch (error) {
      const cause = toHoldfastError(error);
      // What closed it says more than what was cancelled by that.
      const reason = cause.kind === "cancelled" ? this.reason ?? cause : cause;
      this.log("warn", `${this.target}: ${reason.message}`);
      this.close(reason);
      throw reason;
    }
  }
}
