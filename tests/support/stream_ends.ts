/** Both ends of a stream over links that can be fenced, opened by either end and running either way. */

import { HoldfastError } from "../../lib/core/errors.ts";
import { ReceiveStream, SendStream } from "../../lib/core/stream.ts";
import { type ContextPair, contextPair } from "./context_pair.ts";
import { type FencedPair, fencedPair, turn } from "./fenced_link.ts";

/** A stream from the parent to the child, or the other way, opened by either of them. */
export interface Ends extends AsyncDisposable {
  sender: SendStream;
  receiver: ReceiveStream;
  pair: ContextPair;
  fences: FencedPair;
  /** The direction of the data. */
  data: FencedPair["down"];
  /** The direction of the credit. */
  credit: FencedPair["down"];
}

export interface Arrangement {
  name: string;
  /** Who opens it. */
  opener: "sender" | "receiver";
  /** The context that sends. */
  from: 0 | 1;
}

export const ARRANGEMENTS: Arrangement[] = [
  { name: "put", opener: "sender", from: 0 },
  { name: "fetch", opener: "receiver", from: 1 },
  { name: "put asked for from below", opener: "receiver", from: 0 },
  { name: "fetch offered from below", opener: "sender", from: 1 },
];

export function ends({ opener, from }: Arrangement = ARRANGEMENTS[0]): Ends {
  const fences = fencedPair();
  const pair = contextPair({ services: {}, transports: fences.transports });
  const at = [pair.parent, pair.child];
  const to = 1 - from;
  let sender: SendStream;
  let receiver: ReceiveStream;
  if (opener === "sender") {
    sender = SendStream.open(at[from], to);
    receiver = ReceiveStream.accept(at[to], { peer: from, id: sender.id });
  } else {
    receiver = ReceiveStream.open(at[to], from);
    sender = SendStream.accept(at[from], { peer: to, id: receiver.id });
  }
  const { down, up } = fences;
  const [data, credit] = from === 0 ? [down, up] : [up, down];
  return {
    sender,
    receiver,
    pair,
    fences,
    data,
    credit,
    async [Symbol.asyncDispose]() {
      down.open();
      up.open();
      await pair[Symbol.asyncDispose]();
    },
  };
}

export const bytes = (size: number, seed = 0) =>
  new Uint8Array(size).map((_, at) => at * 31 + seed);
export const io = (text: string) => new HoldfastError("io", text);

export async function drain(receiver: ReceiveStream): Promise<number> {
  let total = 0;
  for (let chunk = await receiver.read(); chunk; chunk = await receiver.read()) {
    total += chunk.length;
  }
  return total;
}

/** Whether a promise has settled after everything that can happen has happened. */
export async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  promise.then(() => done = true, () => done = true);
  await turn();
  return done;
}
