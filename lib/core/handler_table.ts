/** Who receives the frames of which handle in one context. Used by its router. */
import { FIRST_DYNAMIC_HANDLE, MIRROR } from "./constants.ts";
import { HoldfastError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import { LIMITS } from "./limits.ts";

/** Receives the frames of one handle. */
export interface Handler {
  /** The only context that may send to it; null for the standard handles, which check authority themselves. */
  from: number | null;
  onFrame(frame: Frame): void;
  /** The other end is gone, refused, or cannot be reached; the handler has already been removed. */
  onDead(error: HoldfastError): void;
}

/**
 * - A handle that was allocated here is found by its number, one that its peer allocated (a mirror) by peer and number.
 * - A handler for one context is not found for another.
 */
export class HandlerTable {
  readonly #handlers: Map<number, Handler> = new Map();
  readonly #mirrors: Map<number, Map<number, Handler>> = new Map();
  #nextHandle = FIRST_DYNAMIC_HANDLE;

  /** Registers a handler under a new handle. */
  add(handler: Handler): number {
    while (this.#handlers.has(this.#nextHandle)) this.#advance();
    const handle = this.#nextHandle;
    this.#advance();
    this.#handlers.set(handle, handler);
    return handle;
  }

  #advance(): void {
    this.#nextHandle = this.#nextHandle + 1 < MIRROR ? this.#nextHandle + 1 : FIRST_DYNAMIC_HANDLE;
  }

  set(handle: number, handler: Handler): void {
    this.#handlers.set(handle, handler);
  }

  remove(handle: number): void {
    this.#handlers.delete(handle);
  }

  /** Registers a handler under `handle`, which `src` allocated for both ends. Throws `limit` or `protocol`. */
  addMirror(src: number, handle: number, handler: Handler): void {
    if (!Number.isInteger(handle) || handle < FIRST_DYNAMIC_HANDLE || handle >= MIRROR) {
      throw new HoldfastError("protocol", `Cannot open handle ${handle}: it is none of a peer`);
    }
    let mirrors = this.#mirrors.get(src);
    if (!mirrors) this.#mirrors.set(src, mirrors = new Map());
    if (mirrors.size >= LIMITS.openPerPeer) {
      throw new HoldfastError("limit", `Cannot open handle: ${mirrors.size} are open`);
    }
    if (mirrors.has(handle)) {
      throw new HoldfastError("protocol", `Cannot open handle ${handle}: it is open`);
    }
    mirrors.set(handle, handler);
  }

  removeMirror(src: number, handle: number): void {
    const mirrors = this.#mirrors.get(src);
    if (mirrors?.delete(handle) && mirrors.size === 0) this.#mirrors.delete(src);
  }

  /** The handler that a frame is for, if its sender may use it. */
  find({ src, handle }: Frame): Handler | undefined {
    const handler = handle >= MIRROR
      ? this.#mirrors.get(src)?.get(handle - MIRROR)
      : this.#handlers.get(handle);
    return handler && (handler.from === null || handler.from === src) ? handler : undefined;
  }

  /** Removes the handler that a frame is for. */
  end({ src, handle }: Frame): void {
    if (handle >= MIRROR) this.removeMirror(src, handle - MIRROR);
    else this.remove(handle);
  }

  /** Contexts that something waits for. */
  peers(): Set<number> {
    const peers = new Set(this.#mirrors.keys());
    for (const { from } of this.#handlers.values()) if (from !== null) peers.add(from);
    return peers;
  }

  /** Ends everything that waits for context `id`. */
  lose(id: number, reason: HoldfastError): void {
    for (const [handle, handler] of this.#handlers) {
      if (handler.from === id && this.#handlers.delete(handle)) handler.onDead(reason);
    }
    const mirrors = this.#mirrors.get(id);
    this.#mirrors.delete(id);
    for (const handler of mirrors?.values() ?? []) handler.onDead(reason);
  }
}
