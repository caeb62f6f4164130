/** The tree of contexts below the daemon: its router, the ids in it, and the modules that contexts were given. */
import { ALLOCATE_ID, FIRST_DYNAMIC_HANDLE, IS_DEAD } from "../core/constants.ts";
import { CORE_MODULES } from "../core/core_modules.ts";
import { HoldfastError } from "../core/errors.ts";
import { type Frame, makeFrame } from "../core/frame.ts";
import { Importer } from "../core/importer.ts";
import { encodeJson } from "../core/json.ts";
import type { Link } from "../core/link.ts";
import { Router } from "../core/router.ts";
import { detachChild } from "../parent/detach_child.ts";
import { ModuleCompiler } from "../sources/module_compiler.ts";
import { isOwnModule, type OwnModule, ownModule } from "../sources/own_modules.ts";
import { ContextIds, RANGE } from "./context_ids.ts";
import type { Log } from "./log.ts";

/** Contexts of which it is remembered why they have gone. */
const REMEMBERED = 256;

/** Ranges of ids that the contexts behind one link may ask for, together. */
const RANGES_PER_LINK = 64;

export class Tree {
  readonly router: Router;
  readonly ids: ContextIds = new ContextIds();
  /** Whose tree it is, for the titles of its processes: `ann@laptop:4711`. */
  readonly owner: string;
  readonly #importer: Importer;
  readonly #compiler: ModuleCompiler = new ModuleCompiler();
  /** Contexts that run the core, by id: their stacks in the user's words. */
  readonly #names: Map<number, string> = new Map();
  readonly #loaded: Map<number, Map<OwnModule, Promise<void>>> = new Map();
  readonly #ranges: WeakMap<Link, number> = new WeakMap();
  /** The last that have gone, for clients that were told of them and had not used them yet. */
  readonly #gone: Map<number, HoldfastError> = new Map();

  constructor({ owner, log }: { owner: string; log: Log }) {
    this.owner = owner;
    this.router = new Router({
      id: 0,
      onWarning: (text) => log("warn", text),
      mayAnnounce: (id, link) => {
        const given = this.ids.ownerOf(id);
        return given !== undefined && this.router.linkOf(given) === link;
      },
    });
    this.#importer = new Importer(this.router, {
      core: CORE_MODULES,
      inflate: () => Promise.reject(new HoldfastError("internal", "the root loads no modules")),
      find: (id) => isOwnModule(id) ? ownModule(id) : this.#compiler.find(id),
    });
    this.router.setStandardHandler(ALLOCATE_ID, ({ src, replyTo }, link) => {
      if (replyTo < FIRST_DYNAMIC_HANDLE || !link) return;
      const ranges = this.#ranges.get(link) ?? 0;
      const reply = { dst: src, handle: replyTo, replyTo: 0 };
      if (ranges >= RANGES_PER_LINK) {
        const error = { kind: "limit", description: "Cannot allocate ids: it has too many" };
        return this.router.sendJson(reply, { error });
      }
      this.#ranges.set(link, ranges + 1);
      this.router.sendJson(reply, { ok: { first: this.grantIds(src, RANGE), count: RANGE } });
    });
    this.router.onGone((id, reason) => {
      this.#gone.set(id, reason);
      if (this.#gone.size > REMEMBERED) this.#gone.delete(this.#gone.keys().next().value!);
      this.#loaded.delete(id);
      this.#names.delete(id);
      this.ids.release(id);
    });
  }

  /** What a client sends. If that is for a context which has gone meanwhile, the answer is why, and not that it is none. */
  receive(frame: Frame, link: Link): void {
    const reason = this.#gone.get(frame.dst);
    const { dst, src, replyTo: handle } = frame;
    if (!reason || handle < FIRST_DYNAMIC_HANDLE || this.router.linkOf(dst)) {
      return this.router.receive(frame, link);
    }
    const header = { dst: src, src: dst, auth: this.router.id, handle, replyTo: IS_DEAD };
    link.send(makeFrame(header, encodeJson({ ...reason.toWire() })));
  }

  /** A context runs the core now. */
  addCore(id: number, name: string): void {
    this.#names.set(id, name);
  }

  /** What a context is called, for people. */
  nameOf(id: number): string {
    return this.#names.get(id) ?? `context ${id}`;
  }

  /**
   * Sees that a context can call functions of a module; resolves with the module's id. Rejects with `usage` for what is
   * no module or does not compile.
   */
  async provide(context: number, url: string): Promise<string> {
    this.#needCore(context, "call code in");
    const provided = this.#compiler.compile(url).then(async (id) => {
      await this.#importer.provide(context, id);
      return id;
    });
    const [id] = await Promise.all([provided, this.require(context, "calls")]);
    return id;
  }

  /** Stacks name modules as they travelled: puts the places in their sources in. */
  locate(stack: string): string {
    return this.#compiler.locate(stack);
  }

  /** Sees that a context has one of our modules of services and has started it. */
  async require(context: number, id: OwnModule): Promise<void> {
    if (!this.router.linkOf(context)) {
      throw new HoldfastError("disconnected", `${this.nameOf(context)} is gone`);
    }
    let modules = this.#loaded.get(context);
    if (!modules) this.#loaded.set(context, modules = new Map());
    let loaded = modules.get(id);
    if (!loaded) {
      loaded = this.#load(context, id);
      modules.set(id, loaded);
      loaded.catch(() => modules.delete(id));
    }
    await loaded;
  }

  /** Ids for contexts below `owner`; the contexts between it and the root learn to whom they belong. */
  grantIds(owner: number, count: number): number {
    const first = this.ids.grant(owner, count);
    const call = { service: "context", method: "give", args: { first, count, owner } };
    for (
      let above = this.ids.ownerOf(owner);
      above !== undefined;
      above = this.ids.ownerOf(above)
    ) {
      this.router.call(above, call).catch(() => {});
    }
    return first;
  }

  /** Lets two contexts reach each other: told to the nearest one above both. */
  async grant(a: number, b: number): Promise<void> {
    const below = (id: number): number[] => {
      const owner = this.ids.ownerOf(id);
      return owner === undefined ? [id, this.router.id] : [id, ...below(owner)];
    };
    const aboveB = below(b).slice(1);
    const nearest = below(a).slice(1).find((id) => aboveB.includes(id))!;
    if (nearest === this.router.id) return this.router.grant(a, b);
    await this.router.call(nearest, { service: "context", method: "grant", args: { a, b } });
  }

  /** Lets a context outlive the link to its parent: it is ordered there. */
  async detach(context: number): Promise<void> {
    this.#needCore(context, "detach");
    const parent = this.ids.ownerOf(context);
    if (parent === undefined) return await detachChild(this.router, context);
    const args = { id: context };
    await this.router.call(parent, { service: "hop", method: "detach", args });
  }

  #needCore(context: number, action: string): void {
    if (this.#names.has(context)) return;
    const why = this.router.linkOf(context) ? "it has no deno, node or bun" : "it is gone";
    throw new HoldfastError("bootstrap", `Cannot ${action} context ${context}: ${why}`);
  }

  async #load(context: number, id: OwnModule): Promise<void> {
    await this.#importer.provide(context, id);
    const args = { module: id };
    await this.router.call(context, { service: "context", method: "load", args });
  }
}
