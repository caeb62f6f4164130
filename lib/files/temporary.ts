/** Names of what is not in its place yet; for `tree_receiver.ts`. */
import { HoldfastError, toHoldfastError } from "../core/errors.ts";

/** A new name in the directory of `path`. What a killed process leaves is recognised by it. */
export function temporaryBeside(path: string): string {
  const name = `.holdfast-${crypto.randomUUID().slice(0, 8)}.tmp`;
  return path.slice(0, path.lastIndexOf("/") + 1) + name;
}

/** Names `path` in an error about its temporary. Messages have both as JSON. */
export function inPlace(
  error: unknown,
  { temporary, path }: { temporary: string; path: string },
): HoldfastError {
  const inner = (text: string) => JSON.stringify(text).slice(1, -1);
  const { kind, message } = toHoldfastError(error);
  const text = message.replaceAll(inner(temporary), () => inner(path));
  return new HoldfastError(kind, text, { cause: error });
}
