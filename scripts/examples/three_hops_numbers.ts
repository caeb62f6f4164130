/** Imported by `three_hops_remote.ts`, so it travels with it. */

/** The product of all whole numbers from `from` to `to`. */
export function multiply(from: number, to: number): bigint {
  let product = 1n;
  for (let number = from; number <= to; number++) product *= BigInt(number);
  return product;
}
