/** One context as its services see it: where they run, whom they speak for, and what ends with it. */
import { DETACHING } from "./constants.ts";
import type { ProcessHost } from "./host.ts";
import type { Importer } from "./importer.ts";
import type { OwnedIds } from "./owned_ids.ts";
import type { Router } from "./router.ts";
import { serve, type Service } from "./service.ts";

/** What a module of services exports as `start`. */
export type StartServices = (context: Context) => Started;

export interface Started {
  /** By name; each name once in a context. */
  services: Record<string, Service>;
  /** The context was detached: it passes that on to those behind it. */
  detach?(): void;
  /** Resolves when what they run has ended and is cleaned up. */
  close?(): Promise<void>;
}

/** What children are started from. */
export interface CoreToSend {
  /** The core's script: as it is, or as raw deflate, which costs the child more time and a slow link less. */
  bytes: Uint8Array;
  isCompressed: boolean;
  /** sha256 of the script, hex. */
  hash: string;
}

export interface ContextOptions {
  router: Router;
  host: ProcessHost;
  /** Its stack in the user's words: `web1,sudo`. */
  name: string;
  /** Whose tree it is: `ann@laptop:4711`. */
  owner: string;
  /** Null in a direct context, which starts no children. */
  importer: Importer | null;
  core: CoreToSend | null;
  /** What contexts below may announce: the root tells. */
  ids: OwnedIds;
}

export class Context {
  readonly router: Router;
  /** Replaced by what is shipped later and can do more. */
  host: ProcessHost;
  readonly name: string;
  readonly owner: string;
  readonly importer: Importer | null;
  readonly core: CoreToSend | null;
  /** It outlives the link to its parent, until what it runs has ended. */
  detached = false;
  readonly #services: Record<string, Service> = {};
  readonly #started: Started[] = [];
  /** Modules of services that were loaded, by id. */
  readonly #loads: Map<string, Promise<void>> = new Map();

  constructor({ router, host, name, owner, importer, core, ids }: ContextOptions) {
    this.router = router;
    this.host = host;
    this.name = name;
    this.owner = owner;
    this.importer = importer;
    this.core = core;
    this.#services.context = {
      ping: { policy: "parents", handle: () => null },
      /** Services that are shipped on demand; resolves when they can be called. */
      load: { policy: "parents", handle: ({ module }) => this.#load(String(module)) },
      detach: { policy: "parents", handle: () => this.#detach() },
      give: {
        policy: "parents",
        handle: ({ first, count, owner }) => ids.give(Number(first), Number(count), Number(owner)),
      },
      grant: { policy: "parents", handle: ({ a, b }) => router.grant(Number(a), Number(b)) },
    };
    serve(router, this.#services);
  }

  start(start: StartServices): void {
    const started = start(this);
    this.#started.push(started);
    Object.assign(this.#services, started.services);
  }

  /** Ends what the services run; of a detached context, resolves when that has ended by itself. */
  async close(): Promise<void> {
    await Promise.all(this.#started.map((started) => started.close?.()));
  }

  #detach(): void {
    this.detached = true;
    for (const started of this.#started) started.detach?.();
    this.router.send({ dst: this.router.parentIds[0], handle: DETACHING, replyTo: 0 });
  }

  #load(id: string): Promise<void> {
    let load = this.#loads.get(id);
    if (!load) {
      load = this.importer!.load(id).then((exports) =>
        this.start((exports as { start: StartServices }).start)
      );
      load.catch(() => this.#loads.delete(id));
      this.#loads.set(id, load);
    }
    return load;
  }
}
