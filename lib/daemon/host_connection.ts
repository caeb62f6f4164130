/**
 * A connection to a host, or to this machine: the endpoint, the direct context that serves it at once, and the core
 * that is started behind it.
 */
import { HoldfastError } from "../core/errors.ts";
import type { Child, Host, SpawnOptions } from "../core/host.ts";
import { bootstrap, type Bootstrapped, NoRuntime } from "../parent/bootstrap.ts";
import { type DirectContext, directContext } from "../master/direct_context.ts";
import type { DialledTransport, Endpoint } from "../master/endpoint.ts";
import type { ProvisionPolicy } from "../rendezvous/provision_policy.ts";
import { contextTitle, firstStage } from "../parent/first_stage.ts";
import { coreSource } from "../sources/core_source.ts";
import { passwordExpiry } from "../master/password_expiry.ts";
import {
  Connection,
  type ConnectionDetails,
  type ConnectionOptions,
  type Purpose,
} from "./connection.ts";
import { withCoreSftp } from "./core_sftp.ts";
import { directNet } from "./direct_net.ts";
import { HostProvisioning, type Provisioner } from "./provisioner.ts";
import { spawnInContext } from "./spawn_in_context.ts";

/** Milliseconds of silence after which a core is asked for a sign of life, and then until it is given up. */
const SILENCE = { ask: 2500, giveUp: 5000 };

/** What has a channel of the host's own server. */
const NEEDS_CHANNEL: ReadonlySet<Purpose> = new Set(["terminal", "channel", "sftp"]);

export interface HostConnectionOptions extends ConnectionOptions {
  /** Reaches the endpoint; aborted when nobody wants it any more. */
  reach: (signal: AbortSignal) => Promise<Endpoint>;
  provisioner: Provisioner;
  /** It is known that no core runs there: none is started. */
  withoutCore?: boolean;
}

/**
 * The very first command gets the direct context while the core starts; when several wait already, all wait for the
 * core, so that one session is all that the host's sshd sees.
 */
export class HostConnection extends Connection {
  readonly #reachEndpoint: (signal: AbortSignal) => Promise<Endpoint>;
  readonly #provisioner: Provisioner;
  readonly #withoutCore: boolean;
  /** Once it is known that the host has no runtime. */
  #provisioning: HostProvisioning | null = null;
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

  constructor({ reach, provisioner, withoutCore, ...options }: HostConnectionOptions) {
    super(options);
    this.#withoutCore = withoutCore ?? false;
    this.#reachEndpoint = reach;
    this.#provisioner = provisioner;
  }

  override get direct(): Host | null {
    return this.#core ? null : this.#endpoint?.host ?? null;
  }

  override async dial(host: string, port: number): Promise<DialledTransport> {
    if (this.#endpoint?.dial) return await this.#endpoint.dial(host, port);
    throw new HoldfastError("connect", `${this.target}: it cannot connect to other hosts`);
  }

  protected async contextFor(
    purpose: Purpose,
    reached: Promise<void>,
    provision: ProvisionPolicy,
  ): Promise<number> {
    this.#waiting++;
    try {
      await reached;
      if (NEEDS_CHANNEL.has(purpose)) return this.#direct!.id;
      const uses = this.#provisioner.countUse(this.key);
      const first = !this.#served && this.#waiting === 1 && purpose === "command" &&
        provision !== "always";
      this.#served = true;
      if (!first || !this.#starting) await this.#started;
      if (!this.#core) {
        const given = this.#provisioning?.use(provision, { uses, needed: purpose === "code" });
        await Promise.race([given, this.closed]);
      }
      if (this.reason) throw this.reason;
      if (!this.#core) return this.#direct!.id;
      if (purpose === "net") await this.tree.require(this.#coreId, "net");
      if (purpose === "files") await this.tree.require(this.#coreId, "files");
      return this.#coreId;
    } finally {
      this.#waiting--;
    }
  }

  protected checkLife(now: number): void {
    if (!this.#core) return;
    const { heardAt } = this.#core.link;
    if (this.#askedAt <= heardAt) {
      if (now - heardAt < SILENCE.ask) return;
      this.#askedAt = now;
      const ping = { service: "context", method: "ping" };
      this.tree.router.call(this.#coreId, ping).catch(() => {});
    } else if (now - this.#askedAt > SILENCE.giveUp) {
      this.close(
        new HoldfastError("disconnected", `${this.target}: the host has stopped answering`),
      );
    }
  }

  protected details(): ConnectionDetails {
    const traffic = this.#core?.link.traffic;
    const state = !this.#endpoint
      ? "connecting"
      : this.#core
      ? "ready"
      : this.#starting
      ? "starting"
      : "direct";
    return {
      description: this.#endpoint?.description ?? this.target,
      state,
      runtime: this.#core?.runtime ?? null,
      context: this.#core ? this.#coreId : this.#direct?.id ?? null,
      provision: this.#provisioning?.note ?? null,
      received: traffic?.received ?? 0,
      sent: traffic?.sent ?? 0,
    };
  }

  /** Commands that ran directly, behind it as well, are ended over the connection, as long as there is one. */
  protected async leave(reason: HoldfastError): Promise<void> {
    const end = this.#core && this.endOfDirect();
    if (end) await Promise.race([end, this.#core!.closed]);
    this.#core?.link.close(reason);
    this.#direct?.close(reason);
    const behind = [...this.holders].map((holder) => holder.closed);
    if (this.#direct) {
      await Promise.race([Promise.all([this.#direct.ended, ...behind]), this.#endpoint?.closed]);
    }
    this.#endpoint?.close();
  }

  protected async reach(): Promise<void> {
    const { router, ids } = this.tree;
    const endpoint = await this.#reachEndpoint(this.abort.signal);
    if (this.reason) {
      endpoint.close();
      throw this.reason;
    }
    this.#endpoint = endpoint;
    this.log("info", `${this.target}: connected as ${endpoint.description}`);
    void endpoint.closed.then((reason) => this.close(reason));
    const host = withCoreSftp(endpoint.host, (options) => this.#serveSftp(options));
    const more = [directNet((host, port) => this.dial(host, port))];
    this.#direct = directContext(router, { id: ids.take(), host, more });
    if (this.#withoutCore) return;
    this.#starting = true;
    this.#started = this.#startCore(endpoint);
  }

  async #serveSftp(options: SpawnOptions): Promise<Child | null> {
    await this.#started;
    if (!this.#core) return null;
    await this.tree.require(this.#coreId, "sftp");
    return await spawnInContext(this.tree, this.#coreId, options);
  }

  async #startCore(endpoint: Endpoint): Promise<void> {
    const { tree, log, target } = this;
    const title = contextTitle({ name: target, owner: tree.owner });
    try {
      const core = await coreSource();
      const child = await endpoint.startCore(firstStage(core, { title }));
      await this.#join(child);
    } catch (error) {
      const expired = passwordExpiry((error as Error).message, endpoint.description);
      if (expired) return this.close(expired);
      const expected = error instanceof NoRuntime;
      log(
        expected ? "info" : "warn",
        `${target}: served directly: ${(error as Error).message}`,
      );
      if (!expected) return;
      this.#provisioning = new HostProvisioning({
        target,
        title,
        endpoint,
        log,
        files: this.#provisioner.files,
        isClosed: () => this.isClosed,
        join: (child, options) => this.#join(child, options),
      });
    } finally {
      this.#starting = false;
    }
  }

  /** Makes the core that starts as `child` the context of this connection. */
  async #join(child: Child, { builtIn }: { builtIn?: boolean } = {}): Promise<void> {
    const { tree, log, target } = this;
    const id = tree.ids.take();
    const started = await bootstrap(tree.router, child, {
      id,
      name: target,
      owner: tree.owner,
      core: await coreSource(),
      builtIn,
      onStderr: (text) => log("debug", `${target}: stderr of the core: ${text.trimEnd()}`),
    });
    if (this.reason) return started.link.close(this.reason);
    this.#core = started;
    this.#coreId = id;
    tree.addCore(id, target);
    this.#endpoint?.coreRuns?.((options) => spawnInContext(tree, id, options));
    log("info", `${target}: the core runs on ${started.runtime} as context ${id}`);
    void started.closed.then((reason) => this.close(reason));
  }
}
