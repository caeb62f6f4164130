/** What the tests of calls share: this process as a client in a workspace, and the module that they call. */

import { openRouter, type Router } from "../../lib/mod.ts";
import type { Workspace } from "../support/holdfast.ts";

export type RemoteFunctions = typeof import("./called/remote.ts");

export const REMOTE: URL = new URL("./called/remote.ts", import.meta.url);

/** Routers that live, and what this process's environment was before the first of them. */
const inside = { routers: 0, before: new Map<string, string | undefined>() };

/**
 * Connects as a program inside the workspace would; when the last such router is disposed of, this process has its own
 * surroundings back.
 */
export async function routerIn(workspace: Workspace): Promise<Router & AsyncDisposable> {
  const env = await workspace.env();
  if (inside.routers++ === 0) {
    for (const [name, value] of Object.entries(env)) {
      inside.before.set(name, Deno.env.get(name));
      Deno.env.set(name, value);
    }
  }
  try {
    const router = await openRouter();
    const dispose = async () => {
      await router.close();
      leave();
    };
    return Object.assign(router, { [Symbol.asyncDispose]: dispose });
  } catch (error) {
    leave();
    throw error;
  }
}

function leave(): void {
  if (--inside.routers > 0) return;
  for (const [name, value] of inside.before) {
    if (value === undefined) Deno.env.delete(name);
    else Deno.env.set(name, value);
  }
  inside.before.clear();
}

/** Yields until a condition holds; a test that waits for nothing is ended by its deadline. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const late = AbortSignal.timeout(10_000);
  while (!await condition()) {
    late.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
