/** Decides where each frame goes: to a handler of this context, over another link, or back as a dead reply. */
import {
  ADD_ROUTE,
  CALL_SERVICE,
  DEL_ROUTE,
  DETACHING,
  FIRST_DYNAMIC_HANDLE,
  IS_DATA,
  IS_DEAD,
  MIRROR,
} from "./constants.ts";
import { type ErrorKind, HoldfastError } from "./errors.ts";
import { type Frame, type Header, makeFrame, stampAuth } from "./frame.ts";
import { type Handler, HandlerTable } from "./handler_table.ts";
import { decodeJson, encodeJson, type Json, type JsonObject } from "./json.ts";
import { LIMITS } from "./limits.ts";
import type { Link } from "./link.ts";

export type { Handler };

export interface RouterOptions {
  id: number;
  /** Contexts above, nearest first; empty at the root. */
  parentIds?: readonly number[];
  onWarning?: (text: string) => void;
  /** Whether a child may announce context `id` behind its link: the root knows to whom it gave which ids. */
  mayAnnounce?: (id: number, link: Link) => boolean;
}

/**
 * The router of one context.
 *
 * - Source verification: a frame from a child link is dropped unless its `src` and `auth` are routed to that link.
 * - Unidirectional: a child reaches its parents, privileged links that spoke to it first, and what it was granted.
 * - Every undeliverable message is answered with a dead reply that says why.
 * - When a context goes away, every handler that waits for it is told.
 */
export class Router {
  readonly id: number;
  readonly parentIds: readonly number[];
  readonly #warn: (text: string) => void;
  readonly #mayAnnounce: (id: number, link: Link) => boolean;
  #parent: Link | null = null;
  readonly #routes: Map<number, Link> = new Map();
  readonly #handlers = new HandlerTable();
  /** Contexts that were given up, and the links that still lead to them. */
  readonly #forgotten: Map<number, Link> = new Map();
  /** Pairs `src,dst` of children that may reach each other. */
  readonly #granted: Set<string> = new Set();
  readonly #goneListeners: Set<(id: number, reason: HoldfastError) => void> = new Set();

  constructor(options: RouterOptions) {
    this.id = options.id;
    this.parentIds = options.parentIds ?? [];
    this.#warn = options.onWarning ?? (() => {});
    this.#mayAnnounce = options.mayAnnounce ?? (() => true);
    this.#handlers.set(ADD_ROUTE, this.#standard((frame, link) => this.#onAddRoute(frame, link)));
    this.setStandardHandler(DETACHING, ({ src }, link) => {
      if (link?.peer !== src) return;
      if (link.mayDetach) link.detached = true;
      else this.#drop(link, "it was not told to detach");
    });
    this.#handlers.set(DEL_ROUTE, this.#standard((frame, link) => this.#onDelRoute(frame, link)));
  }

  /** True for messages under the authority of this context or of one above it. */
  hasParentAuthority(auth: number): boolean {
    return auth === this.id || this.parentIds.includes(auth);
  }

  // Links and routes

  setParent(link: Link): void {
    this.#parent = link;
  }

  get parentLink(): Link | null {
    return this.#parent;
  }

  /** Contexts behind `link` from now on include `id`; those above are told. */
  addRoute(id: number, link: Link): void {
    this.#routes.set(id, link);
    if (this.#parent) {
      this.#emit(this.#parent, { dst: this.#parent.peer, handle: ADD_ROUTE }, encodeJson({ id }));
    }
  }

  /** Lets two contexts below this one, which is the nearest above both, send each other messages. */
  grant(a: number, b: number): void {
    this.#granted.add(`${a},${b}`).add(`${b},${a}`);
  }

  /**
   * Gives up a context that does not answer: whoever waits for it is told. What it still says, should it come back, is
   * nobody's fault and counts against no link.
   */
  forget(id: number, reason: HoldfastError): void {
    const link = this.#routes.get(id);
    if (link && link.peer !== id) this.#forgotten.set(id, link);
    this.#lose([id], reason);
  }

  linkOf(id: number): Link | undefined {
    return this.#routes.get(id);
  }

  /** Forgets every route over `link` and tells all who knew the contexts behind it. */
  removeLink(link: Link, reason: HoldfastError): void {
    for (const [id, via] of this.#forgotten) if (via === link) this.#forgotten.delete(id);
    const gone = [...this.#routes].filter(([, via]) => via === link).map(([id]) => id);
    if (link === this.#parent) {
      this.#parent = null;
      const beyond = new Set([...this.parentIds, ...this.#handlers.peers()]);
      for (const id of beyond) if (!this.#routes.has(id) && id !== this.id) gone.push(id);
    }
    this.#lose(gone, reason);
  }

  /** Calls `listener` for every context that goes away. Returns the way to stop it. */
  onGone(listener: (id: number, reason: HoldfastError) => void): () => void {
    this.#goneListeners.add(listener);
    return () => this.#goneListeners.delete(listener);
  }

  #lose(ids: number[], reason: HoldfastError): void {
    if (ids.length === 0) return;
    const links = new Set<Link>();
    for (const pair of this.#granted) {
      if (pair.split(",").some((id) => ids.includes(Number(id)))) this.#granted.delete(pair);
    }
    for (const id of ids) {
      this.#routes.delete(id);
      for (const link of this.#routes.values()) if (link.introduced.delete(id)) links.add(link);
    }
    const payload = encodeJson({ ids, kind: reason.kind, description: reason.message });
    if (this.#parent) links.add(this.#parent);
    for (const link of links) this.#emit(link, { dst: link.peer, handle: DEL_ROUTE }, payload);
    for (const id of ids) {
      this.#handlers.lose(id, reason);
      for (const listener of this.#goneListeners) listener(id, reason);
    }
  }

  #onAddRoute(frame: Frame, link: Link): void {
    if (!link || link === this.#parent || frame.src !== link.peer) return;
    const id = decodeJson(frame.payload).id as number;
    let behind = 0;
    for (const via of this.#routes.values()) if (via === link) behind++;
    if (behind >= LIMITS.routesPerLink) {
      return link.close(new HoldfastError("limit", "it announced too many contexts"));
    }
    const taken = id === this.id || this.parentIds.includes(id) || this.#routes.has(id);
    if (!Number.isInteger(id) || taken || !this.#mayAnnounce(id, link)) {
      return this.#drop(link, `it announces context ${id}, which is not its own`);
    }
    this.addRoute(id, link);
  }

  #onDelRoute(frame: Frame, link: Link): void {
    const fromParent = link === this.#parent;
    if (fromParent ? !this.hasParentAuthority(frame.auth) : frame.src !== link?.peer) return;
    const message = decodeJson(frame.payload);
    if (!Array.isArray(message.ids)) return;
    const known = new Set(message.ids as number[]);
    for (const id of known) this.#forgotten.delete(id);
    if (!fromParent && known.has(frame.src)) return link.close(fromWire(message));
    for (const id of known) {
      const via = this.#routes.get(id);
      if (fromParent ? via : via !== link) known.delete(id);
    }
    this.#lose([...known], fromWire(message));
  }

  // Sending

  /** Sends a message from this context. An undeliverable one comes back as a dead reply. */
  send(header: Omit<Header, "src" | "auth">, payload?: Uint8Array): void {
    const frame = makeFrame({ ...header, src: this.id, auth: this.id }, payload);
    this.#route(frame, null);
  }

  sendJson(header: Omit<Header, "src" | "auth">, value: Json): void {
    this.send(header, encodeJson(value));
  }

  /** Sends the end of a wait: the handle's owner gets `error`. */
  sendDead(dst: number, handle: number, error: HoldfastError): void {
    this.sendJson({ dst, handle, replyTo: IS_DEAD }, { ...error.toWire() });
  }

  // Handlers

  /** Registers a handler under a new handle of this context. */
  addHandler(handler: Handler): number {
    return this.#handlers.add(handler);
  }

  removeHandler(handle: number): void {
    this.#handlers.remove(handle);
  }

  /** Registers a handler under `handle`, which `src` allocated for both ends. Throws `limit` or `protocol`. */
  addMirror(src: number, handle: number, handler: Handler): void {
    this.#handlers.addMirror(src, handle, handler);
  }

  removeMirror(src: number, handle: number): void {
    this.#handlers.removeMirror(src, handle);
  }

  /** Registers the handler of a standard handle, which is given the link that the frame came over. */
  setStandardHandler(handle: number, onFrame: (frame: Frame, link: Link | null) => void): void {
    this.#handlers.set(handle, this.#standard(onFrame as (frame: Frame, link: Link) => void));
  }

  #standard(onFrame: (frame: Frame, link: Link) => void): Handler {
    return { from: null, onFrame: (frame) => onFrame(frame, this.#current!), onDead() {} };
  }

  /** The link of the frame being dispatched; standard handlers are synchronous and read it at once. */
  #current: Link | null = null;

  // Calls

  /**
   * Calls a method of a service in another context and resolves with its value. Rejects with what the service
   * or the route answered; aborting `signal` cancels the call there too.
   */
  call(
    dst: number,
    request: { service: string; method: string; args?: JsonObject },
    options: { signal?: AbortSignal } = {},
  ): Promise<Json> {
    if (options.signal?.aborted) return Promise.reject(cancelled());
    const { handle, reply } = this.expectReply(dst, options);
    this.sendJson({ dst, handle: CALL_SERVICE, replyTo: handle }, {
      service: request.service,
      method: request.method,
      args: request.args ?? {},
    });
    return reply;
  }

  /** A new handle for the reply to a call, and that reply; for a call that leaves by another way than `call`. */
  expectReply(
    dst: number,
    { signal }: { signal?: AbortSignal } = {},
  ): { handle: number; reply: Promise<Json> } {
    let handle = 0;
    const reply = new Promise<Json>((resolve, reject) => {
      const settle = (): void => {
        this.removeHandler(handle);
        signal?.removeEventListener("abort", onAbort);
      };
      const onAbort = (): void => {
        settle();
        const error = cancelled();
        this.sendDead(dst, handle + MIRROR, error);
        reject(error);
      };
      handle = this.addHandler({
        from: dst,
        onFrame: (frame) => {
          settle();
          try {
            const reply = decodeJson(frame.payload);
            if (reply.error) reject(fromWire(reply.error as JsonObject));
            else resolve(reply.ok ?? null);
          } catch (error) {
            reject(error);
          }
        },
        onDead: (error) => {
          settle();
          reject(error);
        },
      });
      signal?.addEventListener("abort", onAbort);
    });
    return { handle, reply };
  }

  // Receiving

  /** Takes a frame from a link: verifies its source, then delivers or forwards it. */
  receive(frame: Frame, link: Link): void {
    if (link !== this.#parent) {
      if (this.#forgotten.get(frame.src) === link) return;
      if (this.#routes.get(frame.src) !== link || this.#routes.get(frame.auth) !== link) {
        return this.#drop(link, `it claims src ${frame.src}, auth ${frame.auth}`);
      }
      if (link.privileged) stampAuth(frame, this.id);
    }
    this.#route(frame, link);
  }

  #route(frame: Frame, from: Link | null): void {
    if (frame.dst === this.id) return this.#dispatch(frame, from);
    let out = this.#routes.get(frame.dst);
    if (!out && from !== this.#parent) out = this.#parent ?? undefined;
    if (!out || out === from) {
      return this.#undeliverable(frame, "no_route", `there is no context ${frame.dst}`);
    }
    const trusted = !from || from === this.#parent || from.privileged;
    if (!trusted && out !== this.#parent) {
      const answers = out.privileged && from.introduced.has(frame.dst);
      if (!answers && !this.#granted.has(`${frame.src},${frame.dst}`)) {
        return this.#undeliverable(frame, "refused", `a child may not reach context ${frame.dst}`);
      }
    }
    // Not by a dead reply: its `src` is whatever the refused message was addressed to.
    if (out !== this.#parent && frame.replyTo !== IS_DEAD) {
      out.introduced.add(frame.src);
      // Who asks waits, perhaps for a first word that never comes: it is told, too, when that context goes away.
      if (from && from !== this.#parent) from.introduced.add(frame.dst);
    }
    if (out.send(frame, trusted)) return;
    this.#undeliverable(frame, "limit", "its link is over its limits");
    // A stream with a hole must not pass for a whole one that is late.
    if (frame.replyTo === IS_DATA) {
      const wire = { kind: "limit", description: "Cannot deliver stream: too much of it waits" };
      out.send(makeFrame({ ...frame, auth: this.id, replyTo: IS_DEAD }, encodeJson(wire)));
    }
  }

  #dispatch(frame: Frame, from: Link | null): void {
    const handler = this.#handlers.find(frame);
    if (!handler) {
      if (frame.replyTo !== IS_DEAD) {
        this.#undeliverable(frame, "no_route", `there is no handle ${frame.handle}`);
      }
      return;
    }
    this.#current = from;
    try {
      if (frame.replyTo !== IS_DEAD) return handler.onFrame(frame);
      if (frame.handle < FIRST_DYNAMIC_HANDLE) return;
      this.#handlers.end(frame);
      handler.onDead(deadReason(frame.payload));
    } catch (error) {
      // A neighbour is not to blame for what it forwards.
      if (from?.peer === frame.src) this.#drop(from, (error as Error).message);
    } finally {
      this.#current = null;
    }
  }

  /** Answers a message that cannot be delivered, if it has somewhere to be answered. */
  #undeliverable(frame: Frame, kind: ErrorKind, why: string): void {
    let handle = frame.replyTo;
    if (handle === IS_DEAD) return;
    if (handle === IS_DATA) handle = frame.handle ^ MIRROR;
    handle >>>= 0;
    if (handle < FIRST_DYNAMIC_HANDLE) return;
    // It speaks for the context that was addressed, so that it ends exactly what waits for that one.
    const reply = makeFrame(
      { dst: frame.src, src: frame.dst, auth: this.id, handle, replyTo: IS_DEAD },
      encodeJson({ kind, description: `Cannot deliver message: ${why}` }),
    );
    if (frame.src === this.id) queueMicrotask(() => this.#dispatch(reply, null));
    else this.#route(reply, null);
  }

  /** Some of what is wrong is told; a peer that sends more of it does not fill our log, and much more ends its link. */
  #drop(link: Link | null, why: string): void {
    if (!link) return;
    if (link.dropped++ < 10) this.#warn(`dropped a frame from context ${link.peer}: ${why}`);
    if (link.dropped > LIMITS.dropped && link !== this.#parent && !link.privileged) {
      link.close(new HoldfastError("limit", "it broke the rules too often"));
    }
  }

  #emit(link: Link, header: { dst: number; handle: number }, payload: Uint8Array): void {
    link.send(makeFrame({ ...header, src: this.id, auth: this.id, replyTo: 0 }, payload));
  }
}

function cancelled(): HoldfastError {
  return new HoldfastError("cancelled", "the call was cancelled");
}

/** Makes an error of `{kind, description}` as it came from a peer, whatever that is. */
function fromWire({ kind, description }: JsonObject): HoldfastError {
  if (typeof kind !== "string" || typeof description !== "string") {
    return new HoldfastError("protocol", "the peer did not say why");
  }
  return new HoldfastError(kind as ErrorKind, description);
}

/** Never throws: whoever waits must be told. */
function deadReason(payload: Uint8Array): HoldfastError {
  try {
    return fromWire(decodeJson(payload));
  } catch (error) {
    return error as HoldfastError;
  }
}
