/** `-W`: standard input and output joined to a connection from the last context. Loaded for that only. */
import { drain, feed } from "../client/execute.ts";
import { dial } from "./dial.ts";
import type { Endpoint } from "./forward_spec.ts";
import { makeBlocking } from "../client/make_blocking.ts";
import { endBySignals, type OpenWork } from "./session_work.ts";

/** Resolves with the status to exit with, when the other end has closed. */
export async function forwardStdio(
  { session: { router }, context, log }: OpenWork,
  endpoint: Endpoint,
): Promise<number> {
  const { outgoing, incoming, connected } = dial({ router, context }, endpoint);
  endBySignals(log);
  makeBlocking();
  void feed(outgoing);
  await Promise.all([connected, drain(incoming, Deno.stdout)]);
  return 0;
}
