/** A connection to a context that another context opens: sudo, a container, a sandbox behind a host. */
import { SHUTDOWN } from "../core/constants.ts";
import { HoldfastError } from "../core/errors.ts";
import type { Frame } from "../core/frame.ts";
import { decodeJson, type JsonObject } from "../core/json.ts";
import type { HopQuestion, OpenHopArguments } from "../parent/hop_service.ts";
import type { Ask } from "../master/ask.ts";
import {
  Connection,
  type ConnectionDetails,
  type ConnectionOptions,
  type Purpose,
} from "./connection.ts";

/** Milliseconds that a hop has to answer, its questions not counted. */
const DEADLINE = 30_000;
/** Milliseconds between two signs of life that are asked for while somebody uses it, and until it is given up. */
const LIFE = { ask: 3_000, giveUp: 6_000 };

export interface HopConnectionOptions extends ConnectionOptions {
  above: Connection;
  method: string;
  argument?: string;
  /** Whom to be in a container. */
  user?: string;
  /** A password that need not be asked for; used once. */
  password?: string;
  ask: Ask;
}

export class HopConnection extends Connection {
  readonly #options: HopConnectionOptions;
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
  }

  protected async contextFor(purpose: Purpose, reached: Promise<void>): Promise<number> {
    await reached;
    if (purpose === "files") await this.tree.require(this.#id, "files");
    if (purpose === "net") await this.tree.require(this.#id, "net");
    if (purpose === "terminal") await this.tree.require(this.#id, "terminals");
    return this.#id;
  }

  protected async reach(): Promise<void> {
    const { tree, target, log } = this;
    const { above, method, argument, user } = this.#options;
    const { router, ids } = tree;
    const parent = await above.open("hop");
    await tree.require(parent, "hops");
    if (this.reason) throw this.reason;
    const id = ids.grant(parent, 1);
    const asked = router.addHandler({
      from: parent,
      onFrame: (frame) => void this.#answer(frame),
      onDead() {},
    });
    try {
      const args: OpenHopArguments = {
        id,
        method,
        argument,
        user,
        name: target,
        ask: asked,
        deadline: DEADLINE,
      };
      const reply = await router.call(parent, {
        service: "hop",
        method: "open",
        args: { ...args },
      }, { signal: this.abort.signal });
      this.#runtime = String((reply as JsonObject).runtime);
    } finally {
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
    if (this.reason) this.#shutDown();
  }

  protected async leave(reason: HoldfastError): Promise<void> {
    this.#stopListening();
    const { router } = this.tree;
    if (this.#id === 0 || !router.linkOf(this.#id)) return;
    const gone = Promise.withResolvers<void>();
    const stop = router.onGone((id) => id === this.#id && gone.resolve());
    // One that does not end when it is told to is given up.
    const timer = setTimeout(() => router.forget(this.#id, reason), LIFE.giveUp);
    this.#shutDown();
    await gone.promise;
    clearTimeout(timer);
    stop();
  }

  protected checkLife(now: number): void {
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
    const state = this.#id === 0 ? "connecting" : "ready";
    const context = this.#id || null;
    return {
      description: this.target,
      state,
      runtime: this.#runtime,
      context,
      received: 0,
      sent: 0,
    };
  }

  #shutDown(): void {
    this.tree.router.send({ dst: this.#id, handle: SHUTDOWN, replyTo: 0 });
  }

  /** A password that the hop's tool wants: the one that was given, once, or what the user says. */
  async #answer({ src, replyTo, payload }: Frame): Promise<void> {
    const question = decodeJson(payload) as unknown as HopQuestion;
    const { password, ask } = this.#options;
    const answer = question.attempt === 1 && password !== undefined ? password : await ask({
      prompt: `${this.target}: ${question.prompt}`,
      echo: false,
      kind: "password",
      host: this.target,
    }, { signal: this.abort.signal }).catch(() => null);
    this.tree.router.sendJson({ dst: src, handle: replyTo, replyTo: 0 }, { ok: answer });
  }
}
