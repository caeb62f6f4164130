/**
 * Joined transports whose directions can be fenced, to force an interleaving, and contexts attached to a
 * router by hand, to send whatever a hostile one might. All of it moves by microtasks only: after one
 * {@linkcode turn} everything that can happen has happened.
 */

import { HoldfastError } from "../../lib/core/errors.ts";
import { type Frame, type Header, makeFrame } from "../../lib/core/frame.ts";
import type { Transport } from "../../lib/core/host.ts";
import { encodeJson, type Json } from "../../lib/core/json.ts";
import { Link } from "../../lib/core/link.ts";
import { Router, type RouterOptions } from "../../lib/core/router.ts";
import { transportPair } from "../../lib/core/transport_pair.ts";

/** Resolves when no microtask is left. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** One direction. It begins open. */
export class Fence {
  /** Everything that writers handed over, whether it has passed or waits. */
  readonly written: Uint8Array[] = [];
  readonly #passed: Uint8Array[] = [];
  #permits = Infinity;
  #ended = false;
  #changed: (() => void)[] = [];

  /** Stops what comes from now on. */
  close(): void {
    this.#permits = 0;
  }

  /** Lets everything through again. */
  open(): void {
    this.pass(Infinity);
  }

  /** Lets through the next `count` writes, then stops again. */
  pass(count: number): void {
    this.#permits = count;
    this.#tell();
  }

  /** Bytes handed over so far. */
  get bytes(): number {
    return this.written.reduce((sum, { length }) => sum + length, 0);
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.written.push(bytes);
    while (this.#permits === 0 && !this.#ended) await this.#change();
    if (this.#ended) throw new HoldfastError("disconnected", "the transport is closed");
    this.#permits--;
    this.#passed.push(bytes);
    this.#tell();
  }

  async read(): Promise<Uint8Array | null> {
    while (this.#passed.length === 0 && !this.#ended) await this.#change();
    return this.#passed.shift() ?? null;
  }

  end(): void {
    this.#ended = true;
    this.#tell();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }

  #tell(): void {
    for (const resolve of this.#changed.splice(0)) resolve();
  }
}

/** Two ends for `contextPair`: the parent's, then the child's. */
export interface FencedPair {
  transports: [Transport, Transport];
  /** From parent to child. */
  down: Fence;
  /** From child to parent. */
  up: Fence;
}

export function fencedPair(): FencedPair {
  const down = new Fence();
  const up = new Fence();
  const end = (incoming: Fence, outgoing: Fence): Transport => ({
    read: () => incoming.read(),
    write: (bytes) => outgoing.write(bytes),
    close() {
      incoming.end();
      outgoing.end();
    },
  });
  return { transports: [end(up, down), end(down, up)], down, up };
}

/** A neighbour of a router that does only what the test says. */
export interface Peer {
  id: number;
  /** The router's link to it. */
  link: Link;
  /** What has arrived at it. */
  frames: Frame[];
  /** Sends a frame with any header; `src` and `auth` are its own id unless given. */
  send(header: Partial<Header>, payload?: Uint8Array | Json): void;
  /** Ends its link. */
  leave(): void;
}

/** A router and peers around it. */
export interface Star extends AsyncDisposable {
  router: Router;
  warnings: string[];
  /** A child, or with `privileged` a client. */
  child(id: number, options?: { privileged?: boolean; transports?: [Transport, Transport] }): Peer;
  /** The parent, for a router that has one. */
  parent(id: number): Peer;
}

export function star(options: Partial<RouterOptions> = {}): Star {
  const warnings: string[] = [];
  const router = new Router({ id: 0, ...options, onWarning: (text) => warnings.push(text) });
  const running: Promise<void>[] = [];
  const links: Link[] = [];

  function attach(
    id: number,
    join: (link: Link) => void,
    options: { privileged?: boolean; transports?: [Transport, Transport] },
  ): Peer {
    const [here, there] = options.transports ?? transportPair();
    const link = new Link(id, here, options);
    const far = new Link(router.id, there);
    const frames: Frame[] = [];
    join(link);
    links.push(link, far);
    running.push(
      link.run({
        onFrame: (frame) => router.receive(frame, link),
        onClose: (error) => router.removeLink(link, error ?? gone()),
      }),
      far.run({ onFrame: (frame) => frames.push(frame), onClose() {} }),
    );
    return {
      id,
      link,
      frames,
      send(header, payload = new Uint8Array(0)) {
        const bytes = payload instanceof Uint8Array ? payload : encodeJson(payload);
        const full = { dst: router.id, src: id, auth: id, handle: 0, replyTo: 0, ...header };
        far.send(makeFrame(full, bytes));
      },
      leave: () => far.close(null),
    };
  }

  return {
    router,
    warnings,
    child: (id, options = {}) => attach(id, (link) => router.addRoute(id, link), options),
    parent: (id) => attach(id, (link) => router.setParent(link), {}),
    async [Symbol.asyncDispose]() {
      for (const link of links) link.close(null);
      await Promise.all(running);
    },
  };
}

function gone(): HoldfastError {
  return new HoldfastError("disconnected", "the peer left");
}
