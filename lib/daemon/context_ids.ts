/** Numbers of contexts, counted by the root: none is given twice, and an id that was given away is gone. */
import { OwnedIds } from "../core/owned_ids.ts";

/** Ids that a context gets at once when it opens children by itself. */
export const RANGE = 64;

export class ContextIds extends OwnedIds {
  #next = 1;

  /** An id for a neighbour of the root. */
  take(): number {
    return this.#next++;
  }

  /** Ids that `owner` may give to contexts below itself; the first of them. */
  grant(owner: number, count: number): number {
    const first = this.#next;
    this.#next += count;
    this.give(first, count, owner);
    return first;
  }
}
