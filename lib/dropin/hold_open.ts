/** `-N`: nothing runs; the connection is held until it is lost or this process ends. Loaded for that only. */
import type { HoldfastError } from "../core/errors.ts";
import { announceBackground, endBySignals, type OpenWork } from "./session_work.ts";

export async function holdOpen(open: OpenWork): Promise<number> {
  const { log } = open;
  endBySignals(log);
  const gone = lost(open);
  // A context tells those who spoke to it that it is gone.
  await open.session.router.call(open.context, { service: "context", method: "ping" });
  await announceBackground(log);
  log.write("DEBUG1", "nothing runs, the connection is held");
  throw await gone;
}

/** Resolves when the context is gone, or the daemon with all of them, with why. */
export function lost(
  { session, context }: Pick<OpenWork, "session" | "context">,
): Promise<HoldfastError> {
  return new Promise((resolve) => {
    const { router } = session;
    router.onGone((id, reason) => {
      if (id === context || router.parentIds.includes(id)) resolve(reason);
    });
  });
}
