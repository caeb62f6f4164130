/** `-N`: nothing runs; the connection is held until it is lost or this process ends. Loaded for that only. */
import type { HoldfastError } from "../core/errors.ts";
import { announceBackground, endBySignals, type OpenWork } from "./session_work.ts";

export async function holdOpen({ session, context, log }: OpenWork): Promise<number> {
  endBySignals(log);
  const lost = new Promise<HoldfastError>((resolve) => {
    session.router.onGone((id, reason) => id === context && resolve(reason));
  });
  // A context tells those who spoke to it that it is gone.
  await session.router.call(context, { service: "context", method: "ping" });
  announceBackground();
  log.write("DEBUG1", "nothing runs, the connection is held");
  throw await lost;
}
