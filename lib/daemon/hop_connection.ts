/**
 * A connection to a context that another context opens: sudo, a container, a sandbox behind a host. Behind a host
 * without a core it is a connection to a host like any other, whose way is the tool of its method.
 */
import { SHUTDOWN } from "../core/constants.ts";
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { Frame } from "../core/frame.ts";
import type { Host } from "../core/host.ts";
import { decodeJson, type JsonObject } from "../core/json.ts";
import { printable } from "../core/printable.ts";
import type { ProvisionPolicy } from "../rendezvous/provision_policy.ts";
import type { DialledTransport } from "../master/endpoint.ts";
import { hopEndpoint } from "../master/hop_endpoint.ts";
import { CONNECTION_METHODS } from "../parent/connection_methods.ts";
import type { OpenHopArguments } from "../parent/hop_service.ts";
import {
  Connection,
  type ConnectionDetails,
  type ConnectionOptions,
  type OpenOptions,
  type Purpose,
} from "./connection.ts";
import { bringPayload } from "./payload_way.ts";
import type { Provisioner } from "./provisioner.ts";
import { HostConnection } from "./host_connection.ts";

/** Milliseconds that a hop has to answer, its questions not counted. */
const DEADLINE = 30_000;
/** Deadlines that it takes at most to give it a runtime, from a file that is there. */
const UNPACKING = 10;
/** How often one hop may ask for a password, and characters of a tool's words in the question. */
const QUESTIONS = 3;
const PROMPT = 200;
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
  /** Those who wait for a context of it. */
  #waiting = 0;
  #made = false;
  /** Aborted when they have all left before it was made. */
  readonly #unwanted = new AbortController();
  /** What stands for it behind a host without a core. */
  #host: HostConnection | null = null;
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
  /** Passwords that were asked for, and questions that wait for somebody now. */
  #questions = 0;
  #asking = 0;
  /** The password that was known beforehand has had its turn. */
  #given = false;

  constructor(options: HopConnectionOptions) {
    super(options);
    this.#options = options;
  }

  override get direct(): Host | null {
    return this.#host?.direct ?? null;
  }

  override get isOutgrown(): boolean {
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
    const { above, method, argument, user, provision } = this.#options;
    const { router } = tree;
    const parent = await above.open("hop", { provision, signal: this.#unwanted.signal });
    if (above.direct) return await this.#reachDirectly(above.direct);
    await tree.require(parent, "hops");
    if (this.reason) throw this.reason;
    const id = tree.grantIds(parent, 1);
    const asked = router.addHandler({
      from: parent,
      onFrame: (frame) => void this.#answer(frame),
      onDead() {},
    });
    // The context keeps the deadline; one that does not is found here.
    const watch = setInterval(() => {
      if (this.#asking > 0) return;
      this.close(new HoldfastError("timeout", `${target}: it was not open in time`));
    }, (provision === "never" ? 2 : UNPACKING) * DEADLINE);
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
      const reply = await router.call(parent, {
        service: "hop",
        method: "open",
        args: { ...args },
      }, { signal: this.abort.signal });
      this.#runtime = String((reply as JsonObject).runtime);
    } catch (error) {
      // Its answer may have been on the way when it was given up; the ping's comes after any route to it.
      const end = () => router.linkOf(id) && this.#shutDown(id);
      router.call(parent, { service: "context", method: "ping" }).then(end, () => {});
      throw error;
    } finally {
      clearInterval(watch);
      router.removeHandler(asked);
    }
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
    log("info", `${target}: the core runs on ${this.#runtime} as context ${id}`);
    if (this.reason) this.#shutDown(id);
  }

  /** Through its tool, which is composed into each command. */
  async #reachDirectly(host: Host): Promise<void> {
    const { above, method, argument, user, provisioner } = this.#options;
    const { key, target, tree, log } = this;
    const connection = new HostConnection({
      ...{ key, target, tree, log, above: null, provisioner },
      reach: (signal) =>
        hopEndpoint(host, {
          hop: { method, argument, user, label: target },
          deadline: DEADLINE,
          ask: ({ prompt }) => this.#password(prompt),
          dial: above.dial?.bind(above),
          signal,
        }),
    });
    this.#host = connection;
    void connection.closed.then((reason) => this.close(reason));
    await connection.open("channel"); // does not wait for a core
  }

  protected async leave(reason: HoldfastError): Promise<void> {
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
      return { description, state, runtime, context, provision, received, sent };
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
  async #bring(target: string): Promise<JsonObject> {
    const { above, provision, provisioner } = this.#options;
    const { tree, log } = this;
    try {
      if (provision === "never" || this.#brought) {
        throw new HoldfastError("refused", "it is not to be provisioned, or has been already");
      }
      this.#brought = true;
      return { ok: await bringPayload(above, { target, tree, log, files: provisioner.files }) };
    } catch (error) {
      return { error: { ...toHoldfastError(error).toWire() } };
    }
  }

  #shutDown(id: number): void {
    this.tree.router.send({ dst: id, handle: SHUTDOWN, replyTo: 0 });
  }

  /** What a context asks. It is not trusted to ask only what its tool does. */
  async #answer({ src, replyTo, payload }: Frame): Promise<void> {
    let answer: string | null = null;
    this.#asking++;
    try {
      const { prompt, payload: wanted } = decodeJson(payload);
      if (wanted !== undefined) {
        const answer = await this.#bring(String(wanted));
        return this.tree.router.sendJson({ dst: src, handle: replyTo, replyTo: 0 }, answer);
      }
      const asks = CONNECTION_METHODS[this.#options.method].asks && ++this.#questions <= QUESTIONS;
      if (asks) answer = await this.#password(String(prompt));
    } catch {
      // Nobody can answer what makes no sense.
    } finally {
      this.#asking--;
    }
    this.tree.router.sendJson({ dst: src, handle: replyTo, replyTo: 0 }, { ok: answer });
  }

  /** A password that the hop's tool wants: the one that was given, once, or what the user says. */
  async #password(prompt: string): Promise<string | null> {
    const { password } = this.#options;
    const known = this.#given ? undefined : password;
    this.#given = true;
    if (known !== undefined) return known;
    return await this.ask({
      prompt: `${this.target}: ${printable(prompt).slice(0, PROMPT)}`,
      echo: false,
      kind: "password",
      host: this.target,
    }, { signal: this.abort.signal });
  }
}
