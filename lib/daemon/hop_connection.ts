/**
 * A connection to a context that another context opens: sudo, a container, a sandbox behind a host. Where there is no
 * core, before it or behind it, it is a connection to a host like any other, whose way is the tool of its method.
 */
import { SHUTDOWN } from "../core/constants.ts";
import { HoldfastError } from "../core/errors.ts";
import type { Host, ProcessHost } from "../core/host.ts";
import { printable } from "../core/printable.ts";
import type { ProvisionPolicy } from "../rendezvous/provision_policy.ts";
import type { DialledTransport } from "../master/endpoint.ts";
import { hopEndpoint } from "../master/hop_endpoint.ts";
import type { HopOpened, OpenHopArguments } from "../parent/hop_service.ts";
import {
  Connection,
  type ConnectionDetails,
  type ConnectionOptions,
  type OpenOptions,
  type Purpose,
} from "./connection.ts";
import { contextHost } from "./context_host.ts";
import { dialFrom } from "./dial_from.ts";
import { HopQuestions } from "./hop_questions.ts";
import { HostConnection } from "./host_connection.ts";
import { bringPayload } from "./payload_way.ts";
import type { Provisioner } from "./provisioner.ts";

/** Milliseconds that a hop has to answer, its questions not counted. */
const DEADLINE = 30_000;
/** Deadlines that it takes at most to give it a runtime, from a file that is there. */
const UNPACKING = 10;
/** Characters of why there is no core. */
const REASON = 500;
/** Milliseconds between two signs of life that are asked for while somebody uses it, and until it is given up. */
const LIFE = { ask: 3_000, giveUp: 6_000 };

export interface HopConnectionOptions extends ConnectionOptions {
  above: Connection;
  method: string;
  argument?: string;
  /** Whom to be in a container. */
  user?: string;
  /** Whether what lacks a runtime, on the way or at its end, is given one. */
  provision: ProvisionPolicy;
  provisioner: Provisioner;
  /** A password that need not be asked for; used once. */
  password?: string;
}

export class HopConnection extends Connection {
  readonly #options: HopConnectionOptions;
  readonly #questions: HopQuestions;
  /** Those who wait for a context of it. */
  #waiting = 0;
  #made = false;
  /** Aborted when they have all left before it was made. */
  readonly #unwanted = new AbortController();
  /** What stands for it where there is no core. */
  #host: HostConnection | null = null;
  /** That is so because none runs behind the context before it, which was not to be changed, or could not. */
  #coreless: { provision: ProvisionPolicy; why: string } | null = null;
  /** The built file was brought for it: a context that asks again and again gets it once. */
  #brought = false;
  /** It was not only opened, but used since. */
  #used = false;
  /** Its context; 0 before there is one. */
  #id = 0;
  #runtime: string | null = null;
  /** When it was last asked for a sign of life, and when it last gave one. */
  #askedAt = 0;
  #heardAt = 0;
  #stopListening: () => void = () => {};

  constructor(options: HopConnectionOptions) {
    super(options);
    this.#options = options;
    const { target } = this;
    this.#questions = new HopQuestions({
      ...options,
      bring: (wanted) => this.#bring(wanted),
      ask: (prompt) => {
        const question = { prompt, echo: false, kind: "password", host: target } as const;
        return this.ask(question, { signal: this.abort.signal });
      },
    });
  }

  override get direct(): Host | null {
    return this.#host?.direct ?? null;
  }

  override isOutgrown(provision: ProvisionPolicy): boolean {
    if (this.#coreless) return this.#coreless.provision === "never" && provision !== "never";
    return this.#host !== null && this.#options.above.direct === null;
  }

  override async dial(host: string, port: number): Promise<DialledTransport> {
    if (this.#host) return await this.#host.dial(host, port);
    throw new HoldfastError("connect", `${this.target}: its context connects to other hosts`);
  }

  /** Once nobody waits for one that is still being made, it is given up, and so is what was started for it. */
  override async open(purpose: Purpose, options?: OpenOptions): Promise<number> {
    this.#waiting++;
    try {
      return await super.open(purpose, options);
    } finally {
      if (--this.#waiting === 0 && !this.#made) {
        const text = `${this.target}: nobody waited for it any more`;
        this.#unwanted.abort();
        this.close(new HoldfastError("cancelled", text));
      }
    }
  }

  protected async contextFor(
    purpose: Purpose,
    reached: Promise<void>,
    provision: ProvisionPolicy,
  ): Promise<number> {
    await reached;
    if (this.#host) {
      // What it goes through is used as well, and may be given a runtime: this is then outgrown.
      if (this.#used) await this.#options.above.open("hop", { provision });
      this.#used = true;
      return await this.#host.open(purpose);
    }
    if (purpose === "files") await this.tree.require(this.#id, "files");
    if (purpose === "net" || purpose === "channel") await this.tree.require(this.#id, "net");
    if (purpose === "sftp") await this.tree.require(this.#id, "sftp");
    if (purpose === "terminal") await this.tree.require(this.#id, "terminals");
    return this.#id;
  }

  protected async reach(): Promise<void> {
    await this.#make();
    this.#made = true;
  }

  async #make(): Promise<void> {
    const { tree, target, log } = this;
    const { above, provision } = this.#options;
    const parent = await above.open("hop", { provision, signal: this.#unwanted.signal });
    if (above.direct) return await this.#reachDirectly(above.direct);
    await tree.require(parent, "hops");
    if (this.reason) throw this.reason;
    const opened = await this.#openIn(parent);
    this.#questions.entered({ again: opened.runtime === null });
    if (opened.runtime === null) {
      const why = printable(`${opened.why}`).slice(0, REASON);
      log("info", `${target}: served directly: ${why}`);
      this.#coreless = { provision, why };
      return await this.#reachDirectly(contextHost(tree, parent));
    }
    this.#runtime = String(opened.runtime);
    log("info", `${target}: the core runs on ${this.#runtime} as context ${this.#id}`);
    if (this.reason) this.#shutDown(this.#id);
  }

  /** Has the context before it open it. */
  async #openIn(parent: number): Promise<HopOpened> {
    const { tree, target } = this;
    const { method, argument, user, provision } = this.#options;
    const { router } = tree;
    const id = tree.grantIds(parent, 1);
    const asked = router.addHandler({
      from: parent,
      onFrame: async ({ src, replyTo, payload }) => {
        const answer = await this.#questions.answer(payload);
        router.sendJson({ dst: src, handle: replyTo, replyTo: 0 }, answer);
      },
      onDead() {},
    });
    // The context keeps the deadline; one that does not is found here.
    const watch = setInterval(() => {
      if (this.#questions.areOpen) return;
      this.close(new HoldfastError("timeout", `${target}: it was not open in time`));
    }, (provision === "never" ? 2 : UNPACKING) * DEADLINE);
    let opened: HopOpened;
    try {
      const args: OpenHopArguments = {
        id,
        method,
        argument,
        user,
        name: target,
        ask: asked,
        deadline: DEADLINE,
        provision: provision !== "never",
      };
      opened = await router.call(parent, { service: "hop", method: "open", args: { ...args } }, {
        signal: this.abort.signal,
      }) as unknown as HopOpened;
    } catch (error) {
      // Its answer may have been on the way when it was given up; the ping's comes after any route to it.
      const end = () => router.linkOf(id) && this.#shutDown(id);
      router.call(parent, { service: "context", method: "ping" }).then(end, () => {});
      throw error;
    } finally {
      clearInterval(watch);
      router.removeHandler(asked);
    }
    if (opened.runtime === null) return opened;
    if (!router.linkOf(id)) {
      throw new HoldfastError("disconnected", `${target}: it ended as soon as it was open`);
    }
    this.#id = id;
    tree.addCore(id, target);
    this.#heardAt = this.#askedAt = performance.now();
    this.#stopListening = router.onGone((gone, reason) => {
      if (gone !== id) return;
      const { kind, message } = reason;
      this.close(
        new HoldfastError(kind, message.startsWith(target) ? message : `${target}: ${message}`),
      );
    });
    return opened;
  }

  /** Through its tool, which is composed into each command. */
  async #reachDirectly(host: ProcessHost): Promise<void> {
    if (this.reason) throw this.reason;
    const { above, method, argument, user, provisioner } = this.#options;
    const { key, target, tree, log } = this;
    const connection = new HostConnection({
      ...{ key, target, tree, log, above: null, provisioner },
      withoutCore: this.#coreless !== null,
      reach: (signal) =>
        hopEndpoint(host, {
          hop: { method, argument, user, label: target },
          deadline: DEADLINE,
          ask: ({ prompt }) => this.#questions.password(prompt),
          dial: (host, port) => dialFrom(above, { tree, host, port }),
          signal,
        }),
    });
    this.#host = connection;
    void connection.closed.then((reason) => this.close(reason));
    await connection.open("channel"); // does not wait for a core
  }

  protected async leave(reason: HoldfastError): Promise<void> {
    const end = this.endOfDirect();
    if (end) await end;
    this.#stopListening();
    if (this.#host) {
      this.#host.close(reason);
      await this.#host.closed;
      return;
    }
    const { router } = this.tree;
    if (this.#id === 0 || !router.linkOf(this.#id)) return;
    const gone = Promise.withResolvers<void>();
    const stop = router.onGone((id) => id === this.#id && gone.resolve());
    // One that does not end when it is told to is given up.
    const timer = setTimeout(() => router.forget(this.#id, reason), LIFE.giveUp);
    this.#shutDown(this.#id);
    await gone.promise;
    clearTimeout(timer);
    stop();
  }

  protected checkLife(now: number): void {
    this.#host?.watch(now, { idleTimeout: Infinity });
    if (this.#id === 0 || this.clients.size === 0) return;
    if (this.#askedAt > this.#heardAt) {
      if (now - this.#askedAt <= LIFE.giveUp) return;
      return this.close(
        new HoldfastError("disconnected", `${this.target}: it has stopped answering`),
      );
    }
    if (now - this.#heardAt < LIFE.ask) return;
    this.#askedAt = now;
    const heard = () => this.#heardAt = performance.now();
    this.tree.router.call(this.#id, { service: "context", method: "ping" }).then(heard, () => {});
  }

  protected details(): ConnectionDetails {
    if (this.#host) {
      const { description, state, runtime, context, provision, received, sent } = this.#host
        .status();
      const refused = this.#coreless?.provision === "never" ? null : this.#coreless;
      const note = refused ? refused.why : provision;
      return { description, state, runtime, context, provision: note, received, sent };
    }
    const state = this.#id === 0 ? "connecting" : "ready";
    const context = this.#id || null;
    return {
      description: this.target,
      state,
      runtime: this.#runtime,
      context,
      provision: null,
      received: 0,
      sent: 0,
    };
  }

  /** The built file that this hop is to be given, to the context that opens it. */
  async #bring(target: string): Promise<string> {
    const { above, provision, provisioner } = this.#options;
    const { tree, log } = this;
    if (provision === "never" || this.#brought) {
      throw new HoldfastError("refused", "it is not to be provisioned, or has been already");
    }
    this.#brought = true;
    return await bringPayload(above, { target, tree, log, files: provisioner.files });
  }

  #shutDown(id: number): void {
    this.tree.router.send({ dst: id, handle: SHUTDOWN, replyTo: 0 });
  }
}
