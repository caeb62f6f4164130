/** What the tests of calls share: this process as a client in a workspace, and the module that they call. */

import { openRouter, type Router } from "../../lib/mod.ts";
import type { Workspace } from "../support/holdfast.ts";

export type RemoteFunctions = typeof import("./called/remote.ts");

export const REMOTE: URL = new URL("./called/remote.ts", import.meta.url);

/** Connects as a program inside the workspace would; disposal gives this process its own surroundings back. */
export async function routerIn(workspace: Workspace): Promise<Router & AsyncDisposable> {
  const env = await workspace.env();
  const before = new Map<string, string | undefined>();
  for (const [name, value] of Object.entries(env)) {
    before.set(name, Deno.env.get(name));
    Deno.env.set(name, value);
  }
  try {
    return await openRouter();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
}

/** Yields until a condition holds; a test that waits for nothing is ended by its deadline. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const late = AbortSignal.timeout(10_000);
  while (!await condition()) {
    late.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
