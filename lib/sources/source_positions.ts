/** Where in its source a place in a compiled script is: reads source maps of one source. Used by `module_compiler.ts`. */

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** `[column, sourceLine, sourceColumn]` by line of the script, each ascending; all count from 0. */
type Lines = [number, number, number][][];

export class SourcePositions {
  readonly #map: string;
  #lines: Lines | null = null;

  /** `map` is the JSON of a source map, version 3; it is read when it is needed. */
  constructor(map: string) {
    this.#map = map;
  }

  /** Both count from 1. Null for what the compiler added. */
  find(
    { line, column }: { line: number; column: number },
  ): { line: number; column: number } | null {
    this.#lines ??= decode(JSON.parse(this.#map).mappings);
    const found = this.#lines[line - 1]?.findLast(([start]) => start <= column - 1);
    return found ? { line: found[1] + 1, column: found[2] + 1 } : null;
  }
}

function decode(mappings: string): Lines {
  let sourceLine = 0;
  let sourceColumn = 0;
  return mappings.split(";").map((line) => {
    let column = 0;
    const places: [number, number, number][] = [];
    for (const segment of line.split(",")) {
      const [start, _source, lines, columns] = numbers(segment);
      if (start === undefined) continue;
      column += start;
      if (columns === undefined) continue;
      places.push([column, sourceLine += lines, sourceColumn += columns]);
    }
    return places;
  });
}

/** Base 64 digits of five bits, least significant first; the sixth bit says that more follow, the lowest is the sign. */
function numbers(segment: string): number[] {
  const result: number[] = [];
  let value = 0;
  let shift = 0;
  for (const character of segment) {
    const digit = DIGITS.indexOf(character);
    value += (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    result.push(value & 1 ? -(value >> 1) : value >> 1);
    value = shift = 0;
  }
  return result;
}
