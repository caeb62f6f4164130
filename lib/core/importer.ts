/**
 * Code that travels: asks the parent for modules, keeps them as they came, runs them, and hands them on to children.
 * Every context has one; the root's has a `find` in place of a parent.
 */
import { builtin } from "./builtin.ts";
import { FORWARD_MODULE, GET_MODULE, LOAD_MODULE } from "./constants.ts";
import { HoldfastError, toHoldfastError, type WireError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import { decodeJson, encodeJson, type JsonObject } from "./json.ts";
import { LIMITS } from "./limits.ts";
import type { Link } from "./link.ts";
import type { Router } from "./router.ts";

/** What travels: one compiled script. */
export interface Module {
  /** Names what it contains: two with one id are the same. */
  id: string;
  /** Modules that it needs, in the order in which they are sent ahead; what they need is among them. */
  needs: string[];
  /** Where each name that it requires leads: to an id, or to `node:NAME`. */
  requires: Record<string, string>;
  /** One of Holdfast's own: what else it requires is a module of the core. */
  own?: boolean;
  /** A CommonJS script, raw deflate. */
  source: Uint8Array;
}

export interface ImporterOptions {
  /** The core's own modules, by file name without `.ts`. */
  core: Record<string, unknown>;
  inflate: (source: Uint8Array) => Promise<string>;
  /** The root: where modules come from. Rejects when there is none of that id. */
  find?: (id: string) => Promise<Module>;
}

interface Wait {
  /** Children that asked for it. */
  children: Set<number>;
  done: Promise<void>;
  settle(error?: HoldfastError): void;
}

/**
 * - Once: a module goes to each child once, whoever below asks for it; requests for one module are joined.
 * - Ahead: what a module needs is sent before it.
 * - Downwards only: a module is taken from the parent, never from a child.
 */
export class Importer {
  readonly #router: Router;
  readonly #options: ImporterOptions;
  readonly #modules: Map<string, Module> = new Map();
  readonly #loaded: Map<string, { exports: unknown }> = new Map();
  readonly #waits: Map<string, Wait> = new Map();
  /** What each child has been sent. */
  readonly #sent: Map<number, Set<string>> = new Map();

  constructor(router: Router, options: ImporterOptions) {
    this.#router = router;
    this.#options = options;
    router.setStandardHandler(GET_MODULE, (frame, link) => this.#onGet(frame, link));
    router.setStandardHandler(LOAD_MODULE, (frame, link) => this.#onLoad(frame, link));
    router.setStandardHandler(FORWARD_MODULE, (frame) => this.#onForward(frame));
    router.onGone((id) => {
      this.#sent.delete(id);
      for (const { children } of this.#waits.values()) children.delete(id);
    });
  }

  /** Runs a module, once, with all that it needs; resolves with its exports. Rejects with why it cannot be had. */
  async load(id: string): Promise<unknown> {
    const loaded = this.#loaded.get(id);
    if (loaded) return loaded.exports;
    const { needs } = await this.#have(id);
    const scripts = new Map<string, string>();
    for (const each of [...needs, id]) {
      scripts.set(each, await this.#options.inflate((await this.#have(each)).source));
    }
    return this.#run(id, scripts);
  }

  /** Sees that `to`, a context below this one, has a module when what is sent to it next arrives. */
  async provide(to: number, id: string): Promise<void> {
    await this.#have(id);
    this.#forward(to, id);
  }

  #run(id: string, scripts: Map<string, string>): unknown {
    const loaded = this.#loaded.get(id);
    if (loaded) return loaded.exports;
    const { requires, own } = this.#modules.get(id)!;
    const require = (name: string): unknown => {
      const leads = Object.hasOwn(requires, name) ? requires[name] : name;
      if (leads.startsWith("node:")) return builtin(leads);
      if (leads !== name) return this.#run(leads, scripts);
      const part = name.slice(name.lastIndexOf("/") + 1).replace(/\.ts$/, "");
      if (own && Object.hasOwn(this.#options.core, part)) return this.#options.core[part];
      throw new HoldfastError("not_found", `Cannot load ${id}: it needs ${name}`);
    };
    const module = { exports: {} as unknown };
    // Known before it runs: a circle of imports finds what there is of it so far.
    this.#loaded.set(id, module);
    try {
      // Not Function: that adds lines, and stacks would not tell where it broke.
      const run = (0, eval)(`(function(module,exports,require){${scripts.get(id)}\n})`);
      run(module, module.exports, require);
      return module.exports;
    } catch (error) {
      this.#loaded.delete(id);
      throw error;
    }
  }

  /** The module itself, from the cache, the root's finder or the parent. */
  async #have(id: string): Promise<Module> {
    if (!this.#modules.has(id)) await this.#ask(id).done;
    return this.#modules.get(id)!;
  }

  #ask(id: string): Wait {
    const known = this.#waits.get(id);
    if (known) return known;
    let resolve: () => void;
    let reject: (error: HoldfastError) => void;
    const promise = new Promise<void>((...settle) => [resolve, reject] = settle);
    promise.catch(() => {});
    const wait: Wait = {
      children: new Set(),
      done: promise,
      settle: (error) => {
        this.#waits.delete(id);
        for (const child of wait.children) {
          if (error) this.#refuse(child, id, error);
          else this.#send(child, id);
        }
        if (error) reject(error);
        else resolve();
      },
    };
    this.#waits.set(id, wait);
    const { find } = this.#options;
    if (find) void this.#find(id, find).then(() => wait.settle(), wait.settle);
    else {
      this.#router.sendJson({ dst: this.#router.parentIds[0], handle: GET_MODULE, replyTo: 0 }, {
        id,
      });
    }
    return wait;
  }

  async #find(id: string, find: (id: string) => Promise<Module>): Promise<void> {
    try {
      const module = await find(id);
      // Circles of imports are possible; what the needed ones need is among them.
      const missing = module.needs.filter((need) => !this.#modules.has(need));
      for (const each of [...await Promise.all(missing.map(find)), module]) {
        this.#modules.set(each.id, each);
      }
    } catch (error) {
      throw toHoldfastError(error);
    }
  }

  // From children

  #onGet({ src, payload }: Frame, link: Link | null): void {
    const id = String(decodeJson(payload).id).slice(0, 256);
    if (link?.peer !== src || this.#router.linkOf(src) !== link) return;
    if (this.#modules.has(id)) return this.#send(src, id);
    let wanted = 0;
    for (const { children } of this.#waits.values()) if (children.has(src)) wanted++;
    if (wanted >= LIMITS.modulesWanted) {
      return link.close(new HoldfastError("limit", "it asked for too many modules"));
    }
    this.#ask(id).children.add(src);
  }

  // From above

  #onLoad({ auth, payload }: Frame, link: Link | null): void {
    if (link !== this.#router.parentLink || !this.#router.hasParentAuthority(auth)) return;
    const end = payload.indexOf(0x0a);
    const { id, needs, requires, own, error } = decodeJson(payload.subarray(0, end));
    const name = id as string;
    if (error) {
      const { kind, description } = error as unknown as WireError;
      return this.#waits.get(name)?.settle(new HoldfastError(kind, description));
    }
    this.#modules.set(name, {
      id: name,
      needs: needs as string[],
      requires: requires as Record<string, string>,
      own: own as boolean | undefined,
      source: payload.slice(end + 1),
    });
    this.#waits.get(name)?.settle();
  }

  #onForward({ auth, payload }: Frame): void {
    if (!this.#router.hasParentAuthority(auth)) return;
    const { id, to } = decodeJson(payload);
    if (this.#modules.has(id as string)) this.#forward(to as number, id as string);
  }

  // To children

  /** Along the way to `to`: the next context gets the module, and hands it on. */
  #forward(to: number, id: string): void {
    const next = this.#router.linkOf(to)?.peer;
    if (next === undefined) return;
    if (!this.#sent.get(next)?.has(id)) this.#send(next, id);
    if (next === to) return;
    this.#router.sendJson({ dst: next, handle: FORWARD_MODULE, replyTo: 0 }, { id, to });
  }

  #send(child: number, id: string): void {
    let sent = this.#sent.get(child);
    if (!sent) this.#sent.set(child, sent = new Set());
    const { needs } = this.#modules.get(id)!;
    for (const each of [...needs, id]) {
      // What was asked for is sent even if it was sent before: it is what the other side waits for.
      if (each !== id && sent.has(each)) continue;
      sent.add(each);
      const { source, ...head } = this.#modules.get(each)!;
      const text = encodeJson(head as unknown as JsonObject);
      const payload = new Uint8Array(text.length + 1 + source.length);
      payload.set(text);
      payload[text.length] = 0x0a;
      payload.set(source, text.length + 1);
      this.#router.send({ dst: child, handle: LOAD_MODULE, replyTo: 0 }, payload);
    }
  }

  #refuse(child: number, id: string, error: HoldfastError): void {
    const text = encodeJson({ id, error: { ...error.toWire() } });
    const payload = new Uint8Array(text.length + 1);
    payload.set(text);
    payload[text.length] = 0x0a;
    this.#router.send({ dst: child, handle: LOAD_MODULE, replyTo: 0 }, payload);
  }
}
