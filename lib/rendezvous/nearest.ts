/** The name that a misspelt word probably meant. Loaded only when there is an error to explain. */

type ClosestString = (word: string, candidates: readonly string[]) => string;

/** No name is as long; the comparison takes time in proportion to the word. */
const LONGEST_WORD = 64;

/**
 * The candidate closest to `word`, or undefined when none is close: one slip in up to three characters,
 * two in up to six, three in more. A courtesy: undefined, too, where the library cannot be loaded.
 */
export async function nearest(
  word: string,
  candidates: readonly string[],
): Promise<string | undefined> {
  if (word.length === 0 || word.length > LONGEST_WORD) return undefined;
  const closestString = await loadClosestString();
  if (!closestString) return undefined;
  const slips = Math.min(3, Math.ceil(word.length / 3));
  // Exactly `slips + 1` away and first in the list: a candidate must be strictly closer to be chosen.
  const sentinel = word.slice(0, -(slips + 1)) + "\0".repeat(slips + 1);
  const near = closestString(word, [sentinel, ...candidates]);
  return near === sentinel ? undefined : near;
}

async function loadClosestString(): Promise<ClosestString | undefined> {
  try {
    return (await import("@std/text/closest-string")).closestString;
  } catch {
    return undefined;
  }
}
