/** The forwards of one process, and how others of the same user's find and end them: `-O forward`, `-O cancel`. */
import type { JsonObject } from "../core/json.ts";
import type { Service } from "../core/service.ts";
import type { Forward } from "./forward_spec.ts";

/** A forward that listens. */
export interface HeldForward {
  /** The port that the other side chose; absent where it was given. */
  port?: number;
  /** Its connections go on. */
  stop(): void | Promise<void>;
}

/** Under this name a client serves `find` and `cancel`, both with `{forward}`. */
export const FORWARD_SERVICE = "forward";

export class HeldForwards {
  /** Resolves when there were some and all are cancelled. */
  readonly cancelled: Promise<void>;
  readonly #held: Map<string, HeldForward> = new Map();
  #onCancelled: () => void = () => {};

  constructor() {
    this.cancelled = new Promise((resolve) => this.#onCancelled = resolve);
  }

  add(forward: Forward, held: HeldForward): void {
    this.#held.set(nameOf(forward), held);
  }

  /** Those that the other side chose. */
  get ports(): number[] {
    return [...this.#held.values()].flatMap(({ port }) => port === undefined ? [] : [port]);
  }

  get service(): Service {
    return {
      /** Null, or that it is held and the port that was chosen for it. */
      find: {
        policy: "parents",
        handle: ({ forward }) => {
          const [, held] = this.#find(forward as unknown as Forward) ?? [];
          return held ? { port: held.port ?? null } : null;
        },
      },
      /** Whether there was one. */
      cancel: {
        policy: "parents",
        handle: async ({ forward }) => {
          const [name, held] = this.#find(forward as unknown as Forward) ?? [];
          if (!held) return false;
          this.#held.delete(name!);
          await held.stop();
          if (this.#held.size === 0) this.#onCancelled();
          return true;
        },
      },
    };
  }

  /** One whose port was chosen is found by that, too. */
  #find(wanted: Forward): [string, HeldForward] | undefined {
    const name = nameOf(wanted);
    return [...this.#held].find(([one, { port }]) => {
      if (one === name || port === undefined) return one === name;
      const forward = JSON.parse(one) as Forward & { listen: JsonObject };
      return name === nameOf({ ...forward, listen: { ...forward.listen, port } } as Forward);
    });
  }
}

/** The same for forwards that are the same. */
function nameOf(forward: Forward): string {
  const { kind, listen } = forward;
  return JSON.stringify({ kind, listen, ..."connect" in forward && { connect: forward.connect } });
}
