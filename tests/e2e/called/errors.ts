/** Named like a module of the core, and nothing like it. */
import { names } from "./stream.ts";

export class HoldfastError extends Error {
  where = "the user's own";
}

export function kinds(): string[] {
  return names;
}
