/** Waits for calls in many contexts, in the order in which they finish. */
import type { Context, RemoteCall } from "./remote_context.ts";

/** How one call ended. */
export type Gathered<T> =
  & { context: Context }
  & ({ value: T; error?: undefined } | { error: unknown; value?: undefined });

/** Yields each call as it ends, failures among them: it never throws. Leaving it early gives up no call. */
export async function* gather<T>(
  calls: Iterable<RemoteCall<T>>,
): AsyncGenerator<Gathered<T>, void> {
  const waiting = new Map<RemoteCall<T>, Promise<[RemoteCall<T>, Gathered<T>]>>();
  for (const call of calls) {
    const { context } = call;
    waiting.set(
      call,
      call.then((value) => [call, { context, value }], (error) => [call, { context, error }]),
    );
  }
  while (waiting.size > 0) {
    const [call, ended] = await Promise.race(waiting.values());
    waiting.delete(call);
    yield ended;
  }
}
