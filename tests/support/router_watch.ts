/** What the tests of the router watch with: a handler that keeps what it gets, and what peers were told. */

import { IS_DEAD } from "../../lib/core/constants.ts";
import type { HoldfastError } from "../../lib/core/errors.ts";
import type { Frame } from "../../lib/core/frame.ts";
import { decodeJson } from "../../lib/core/json.ts";
import type { Handler } from "../../lib/core/router.ts";
import { type Peer, turn } from "./fenced_link.ts";

export interface Listener extends Handler {
  frames: Frame[];
  errors: HoldfastError[];
}

export function listener(from: number | null): Listener {
  const frames: Frame[] = [];
  const errors: HoldfastError[] = [];
  return {
    from,
    frames,
    errors,
    onFrame: (frame) => frames.push(frame),
    onDead: (error) => errors.push(error),
  };
}

/** The dead replies that a peer got, as `kind` by handle. */
export function dead({ frames }: Peer): [number, unknown][] {
  return frames.filter((frame) => frame.replyTo === IS_DEAD)
    .map((frame) => [frame.handle, decodeJson(frame.payload).kind]);
}

/** Whether a message of `from` to `to` gets there. */
export async function reaches(from: Peer, to: Peer): Promise<boolean> {
  to.frames.length = 0;
  from.send({ dst: to.id, handle: 1234, replyTo: 1500 });
  await turn();
  return to.frames.some((frame) => frame.src === from.id && frame.handle === 1234);
}
