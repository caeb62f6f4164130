/** The other half. */
import { even } from "./even.ts";

export function odd(n: number): boolean {
  return n !== 0 && even(n - 1);
}
