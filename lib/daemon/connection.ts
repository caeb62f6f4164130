/**
 * One held connection: the endpoint, the direct context that serves it at once, and the core that is started
 * behind it. Owned by the cache; everything it opened closes with it.
 */
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { Router } from "../core/router.ts";
import { bootstrap, type Bootstrapped, NoRuntime } from "../parent/bootstrap.ts";
import { type DirectContext, directContext } from "../parent/direct_context.ts";
import type { Endpoint } from "../parent/endpoint.ts";
import { firstStage } from "../parent/first_stage.ts";
import { coreSource } from "../master/core_source.ts";
import { passwordExpiry } from "../master/password_expiry.ts";
import type { Log } from "./log.ts";

/** What a caller wants a context for; see `client/session.ts`. */
export type Purpose = "command" | "files" | "terminal";

/** Milliseconds of silence after which a core is asked for a sign of life, and then until it is given up. */
const SILENCE = { ask: 2500, giveUp: 5000 };

export interface ConnectionOptions {
  key: string;
  /** The stack in the user's words. */
  target: string;
  router: Router;
  allocateId: () => number;
  /** Reaches the endpoint; aborted when nobody wants it any more. */
  reach: (signal: AbortSignal) => Promise<Endpoint>;
  log: Log;
}

/** How a connection stands, for `status`. */
export interface ConnectionStatus {
  target: string;
  description: string;
  state: "connecting" | "starting" | "ready" | "direct" | "closed";
  runtime: string | null;
  /** Context id of the core, or of the direct context. */
  context: number | null;
  clients: number;
  /** Seconds since it was made, and since it was last used. */
  age: number;
  idle: number;
  /** Bytes over the core's link. */
  received: number;
  sent: number;
}

export class Connection {
  readonly key: string;
  readonly target: string;
  /** Contexts of clients that hold it. */
  readonly clients: Set<number> = new Set();
  /** Resolves when it has ended, with the reason. */
  readonly closed: Promise<HoldfastError>;
  lastUsed: number = performance.now();

  readonly #options: ConnectionOptions;
  readonly #madeAt = performance.now();
  readonly #abort = new AbortController();
  #waiting = 0;
  #served = false;
  #endpoint: Endpoint | null = null;
  #direct: DirectContext | null = null;
  #core: Bootstrapped | null = null;
  #coreId = 0;
  /** When the core was last asked for a sign of life. */
  #askedAt = 0;
  /** Settles when the core runs or is known not to. */
  #started: Promise<void> = Promise.resolve();
  #starting = false;
  #reached: Promise<void>;
  #onClosed: (reason: HoldfastError) => void = () => {};
  #reason: HoldfastError | null = null;

  constructor(options: ConnectionOptions) {
    this.key = options.key;
    this.target = options.target;
    this.#options = options;
    this.closed = new Promise((resolve) => this.#onClosed = resolve);
    this.#reached = this.#reach();
    this.#reached.catch(() => {});
  }

  get isClosed(): boolean {
    return this.#reason !== null;
  }

  /**
   * The context to use for `purpose`. Rejects with why the target cannot be reached. The very first command
   * gets the direct context while the core starts; when several wait already, all wait for the core, so that
   * one session is all that the host's sshd sees.
   */
  async open(purpose: Purpose): Promise<number> {
    this.#waiting++;
    try {
      await this.#reached;
      if (purpose === "terminal") return this.#direct!.id;
      const first = !this.#served && this.#waiting === 1 && purpose === "command";
      this.#served = true;
      if (!first || !this.#starting) await this.#started;
      if (this.#reason) throw this.#reason;
      return this.#core ? this.#coreId : this.#direct!.id;
    } finally {
      this.#waiting--;
      this.lastUsed = performance.now();
    }
  }

  /**
   * Looks after it; called about once a second with `performance.now()`. Closes it when nobody has held it for
   * `idleTimeout` milliseconds, or when its core has been silent for too long.
   */
  watch(now: number, { idleTimeout }: { idleTimeout: number }): void {
    if (this.clients.size === 0 && now - this.lastUsed > idleTimeout) {
      this.close(new HoldfastError("disconnected", `${this.target}: it was idle`));
    }
    if (!this.#core) return;
    const { heardAt } = this.#core.link;
    if (this.#askedAt <= heardAt) {
      if (now - heardAt < SILENCE.ask) return;
      this.#askedAt = now;
      const ping = { service: "context", method: "ping" };
      this.#options.router.call(this.#coreId, ping).catch(() => {});
    } else if (now - this.#askedAt > SILENCE.giveUp) {
      this.close(
        new HoldfastError("disconnected", `${this.target}: the host has stopped answering`),
      );
    }
  }

  status(): ConnectionStatus {
    const now = performance.now();
    const traffic = this.#core?.link.traffic;
    return {
      target: this.target,
      description: this.#endpoint?.description ?? this.target,
      state: this.#reason
        ? "closed"
        : !this.#endpoint
        ? "connecting"
        : this.#core
        ? "ready"
        : this.#starting
        ? "starting"
        : "direct",
      runtime: this.#core?.runtime ?? null,
      context: this.#core ? this.#coreId : this.#direct?.id ?? null,
      clients: this.clients.size,
      age: Math.round((now - this.#madeAt) / 1000),
      idle: this.clients.size > 0 ? 0 : Math.round((now - this.lastUsed) / 1000),
      received: traffic?.received ?? 0,
      sent: traffic?.sent ?? 0,
    };
  }

  /** Ends it and everything behind it; waiting calls fail with `reason`. Idempotent. */
  close(reason: HoldfastError): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#abort.abort(reason);
    this.#core?.link.close(reason);
    this.#direct?.close(reason);
    void this.#leave().then(() => this.#onClosed(reason));
  }

  /** Commands that ran directly are ended over the connection, as long as there is one. */
  async #leave(): Promise<void> {
    if (this.#direct) await Promise.race([this.#direct.ended, this.#endpoint?.closed]);
    this.#endpoint?.close();
  }

  async #reach(): Promise<void> {
    const { router, allocateId, log, reach } = this.#options;
    try {
      const endpoint = await reach(this.#abort.signal);
      if (this.#reason) {
        endpoint.close();
        throw this.#reason;
      }
      this.#endpoint = endpoint;
      log("info", `${this.target}: connected as ${endpoint.description}`);
      void endpoint.closed.then((reason) => this.close(reason));
      this.#direct = directContext(router, { id: allocateId(), host: endpoint.host });
      this.#starting = true;
      this.#started = this.#startCore(endpoint);
    } catch (error) {
      const reason = toHoldfastError(error);
      log("warn", `${this.target}: ${reason.message}`);
      this.close(reason);
      throw reason;
    }
  }

  async #startCore(endpoint: Endpoint): Promise<void> {
    const { router, allocateId, log } = this.#options;
    try {
      const core = await coreSource();
      const child = await endpoint.startCore(firstStage(core.compressed.length));
      const id = allocateId();
      const started = await bootstrap(router, child, {
        id,
        core,
        onStderr: (text) => log("debug", `${this.target}: stderr of the core: ${text.trimEnd()}`),
      });
      if (this.#reason) return started.link.close(this.#reason);
      this.#core = started;
      this.#coreId = id;
      log("info", `${this.target}: the core runs on ${started.runtime} as context ${id}`);
      void started.closed.then((reason) =>
        this.close(
          new HoldfastError(
            "disconnected",
            `${this.target}: the connection was lost: ${reason.message}`,
          ),
        )
      );
    } catch (error) {
      const expired = passwordExpiry((error as Error).message, endpoint.description);
      if (expired) return this.close(expired);
      const expected = error instanceof NoRuntime;
      log(
        expected ? "info" : "warn",
        `${this.target}: served directly: ${(error as Error).message}`,
      );
    } finally {
      this.#starting = false;
    }
  }
}
