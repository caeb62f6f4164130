/** The one TARGET of subcommands that take nothing else: `disconnect`, `stack`, `unprovision`. */
import { HoldfastError } from "../core/errors.ts";
import { parseTarget } from "../rendezvous/target.ts";

/** @throws {HoldfastError} `usage` where there is none, more than one, or a malformed one */
export function oneTarget(
  [target, superfluous]: string[],
  { action, usage }: { action: string; usage: string },
): string {
  if (target === undefined || superfluous !== undefined) {
    const why = target === undefined ? "TARGET is missing" : "only one TARGET can be given";
    throw new HoldfastError("usage", `Cannot ${action}: ${why}; usage: ${usage}`);
  }
  parseTarget(target);
  return target;
}
