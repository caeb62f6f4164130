/** To whom which ids of contexts were given, so that nobody can announce a context that is not its own. */

/** Ids from `first` up to, but not including, `end`. */
interface Range {
  first: number;
  end: number;
  owner: number;
}

/** Ranges are given in ascending order and do not overlap. */
export class OwnedIds {
  #ranges: Range[] = [];

  give(first: number, count: number, owner: number): void {
    this.#ranges.push({ first, end: first + count, owner });
  }

  /** The context that may open, below itself, the context of this id. */
  ownerOf(id: number): number | undefined {
    let low = 0;
    for (let high = this.#ranges.length; low < high;) {
      const middle = (low + high) >> 1;
      if (this.#ranges[middle].end <= id) low = middle + 1;
      else high = middle;
    }
    const range = this.#ranges[low];
    return range && range.first <= id ? range.owner : undefined;
  }

  /** Forgets what contexts that are gone were given, and single ids that are theirs. */
  release(gone: number): void {
    this.#ranges = this.#ranges.filter(({ first, end, owner }) =>
      owner !== gone && !(first === gone && end === gone + 1)
    );
  }
}
