/**
 * Holdfast for programs: contexts on other machines, as other users, in containers, behind each other, and your own
 * functions called in them.
 *
 * ```ts
 * import { openRouter } from "./lib/mod.ts";
 *
 * await using router = await openRouter();
 * const web = await router.ssh({ host: "web1" });
 * const db = await router.sudo({ via: web, user: "postgres" });
 *
 * const remote = db.module<typeof import("./remote.ts")>(new URL("./remote.ts", import.meta.url));
 * console.log(await remote.tableSizes("shop"));
 * ```
 *
 * `remote.ts` is a file beside yours. It travels with everything that it imports (files, JSON, npm packages that can be
 * bundled, `node:` modules of the target's runtime) and runs on deno, node or bun, whichever is there. It has no top-level
 * await, and its standard output is not its own: what it writes to the console goes to the daemon's log.
 *
 * A hop that wants a password gets the one that comes with it (`router.sudo({ via: web, password })`); where none does, it
 * is asked for as the command line asks. `context.detach()` lets functions go on when this program and the daemon are gone.
 *
 * @module
 */
export { type ErrorKind, HoldfastError } from "./core/errors.ts";
export type { Sender } from "./calls/parcel.ts";
export { Channel } from "./client/channel.ts";
export { gather, type Gathered } from "./client/gather.ts";
export { RemoteError } from "./client/remote_call.ts";
export {
  type Caller,
  type CallOptions,
  Chain,
  Context,
  type ExecOptions,
  type ExecResult,
  type RemoteCall,
  type RemoteModule,
} from "./client/remote_context.ts";
export {
  type BecomeOptions,
  type ContainerOptions,
  type OpenOptions,
  openRouter,
  Router,
  type SshHopOptions,
} from "./client/remote_router.ts";
