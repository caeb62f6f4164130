/** Numbers of contexts: who was given which, so that nobody can announce a context that is not its own. */

/** Ids that a context gets at once when it opens children by itself. */
export const RANGE = 64;

/**
 * - Never reused: an id that was given away is gone.
 * - Owned: an id belongs to the context that was told to open it, or that asked for it.
 */
export class ContextIds {
  #next = 1;
  /** First id of a range, its end and its owner; ascending. */
  readonly #ranges: { first: number; end: number; owner: number }[] = [];

  /** An id for a neighbour of the root. */
  take(): number {
    return this.#next++;
  }

  /** Ids that `owner` may give to contexts below itself; the first of them. */
  grant(owner: number, count: number): number {
    const first = this.#next;
    this.#next += count;
    this.#ranges.push({ first, end: this.#next, owner });
    return first;
  }

  /** To whom an id was given. */
  ownerOf(id: number): number | undefined {
    return this.#ranges.find(({ first, end }) => id >= first && id < end)?.owner;
  }

  /** Forgets what a context that is gone was given. */
  release(owner: number): void {
    for (let at = this.#ranges.length; at-- > 0;) {
      if (this.#ranges[at].owner === owner) this.#ranges.splice(at, 1);
    }
  }
}
