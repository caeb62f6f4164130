/** Finds the line of a TOML document that defines something: the parser tells only where it failed. For `hosts_file.ts`. */

type Parse = (text: string) => unknown;

/**
 * The line, from 1, on which the statement begins that defines `path`, which the document has. By halving: of the
 * beginnings of a document, those that parse lack the path up to that line and have it from there on.
 */
export function lineOf(
  path: readonly string[],
  { text, parse }: { text: string; parse: Parse },
): number {
  const lines = text.split("\n");
  const first = (count: number) => tryParse(lines.slice(0, count).join("\n"), parse);
  let low = 0; // so many lines parse and lack the path
  let high = lines.length; // with so many, or more, none does
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    let count = middle;
    let document = first(count);
    // It was cut in the middle of a value.
    while (document === undefined && ++count < high) document = first(count);
    if (document !== undefined && !has(document, path)) low = count;
    else high = middle;
  }
  return low + 1;
}

function tryParse(text: string, parse: Parse): unknown {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

function has(value: unknown, path: readonly string[]): boolean {
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return false;
    value = (value as Record<string, unknown>)[key];
  }
  return true;
}
