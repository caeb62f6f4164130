/** How a host behind a hop is dialled: over the SSH connection before it, or by the context before it. */
import { HoldfastError } from "../core/errors.ts";
import type { Jump } from "../master/ssh_way.ts";
import type { Connection } from "./connection.ts";

/** What an SSH connection that goes through `above` is dialled with. */
export async function dialer(above: Connection): Promise<Jump> {
  await above.open("command");
  const { target, closed } = above;
  return {
    description: target,
    closed,
    dial: () => Promise.reject(new HoldfastError("connect", "not yet")),
    close() {},
  };
}
