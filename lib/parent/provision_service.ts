/**
 * Provisioning from inside a context: gives hops behind it a runtime, and keeps the built file for them. Shipped to a
 * context the first time that something behind it lacks a runtime.
 */
import type { StartServices } from "../core/context.ts";
import { HoldfastError } from "../core/errors.ts";
import type { Child, ProcessHost } from "../core/host.ts";
import type { CoreToSend } from "../core/context.ts";
import type { Bootstrapped } from "./bootstrap.ts";
import { type Payload, readPayload } from "./payload.ts";
import { coreStart, provision } from "./provision.ts";
import { keptFiles } from "./kept_files.ts";
import { giveFile } from "./give_file.ts";
import { ProvisionShell } from "./provision_shell.ts";

/**
 * `provision.find {target}` → where this context has the built file for it, or null; `provision.give {to, target}` → where
 * `to`, a context below this one, has it now. Both are called by the daemon.
 */
export const start: StartServices = ({ host, router }) => ({
  services: {
    provision: {
      find: {
        policy: "parents",
        handle: async ({ target }) => (await findPayload(host, String(target)))?.path ?? null,
      },
      give: {
        policy: "parents",
        handle: async ({ to, target }) => {
          const file = await findPayload(host, String(target));
          if (!file) throw new HoldfastError("not_found", "the built file is gone");
          return await giveFile({ router, to: Number(to) }, { host, file });
        },
      },
    },
  },
});

export interface ProvisionHopOptions {
  /** The context's own. */
  host: ProcessHost;
  core: CoreToSend;
  title: string;
  /** What its shell has said since it found none. */
  after: string;
  /** Has the built file for a target such as `linux-x64` put here; resolves with where. */
  ask: (target: string) => Promise<string | null>;
  signal: AbortSignal;
  /** As the hop's method says. */
  fleeting?: readonly string[];
  /** Makes a context of the child, which has just become a core or its first stage. */
  join: (child: Child, options: { builtIn: boolean }) => Promise<Bootstrapped>;
}

/** `child` is the shell of a first stage that found no runtime; it is ended when it cannot be given one. */
export async function provisionHop(
  child: Child,
  { host, core, title, after, ask, signal, fleeting, join }: ProvisionHopOptions,
): Promise<Bootstrapped> {
  // What runs as another user ends because its stdin has.
  const end = () => {
    child.stdin.close().catch(() => {});
    child.stdout.cancel();
    child.kill("SIGTERM");
  };
  signal.addEventListener("abort", end);
  try {
    if (signal.aborted) throw new HoldfastError("cancelled", "nobody wants it any more");
    await new ProvisionShell(child, { heard: after }).ready();
    const { become, ...place } = await provision(child, {
      host,
      fleeting,
      payload: async (target) => {
        const found = await findPayload(host, target);
        if (found) return found;
        const path = await ask(target);
        const file = path === null ? null : await readPayload(host, path);
        if (!file) {
          throw new HoldfastError("bootstrap", "Cannot provision: no context above has it");
        }
        return file;
      },
    });
    const { line, builtIn } = coreStart(place, { core, title });
    await become(line);
    // Its stderr is being read already.
    return await join({ ...child, stderr: { read: () => Promise.resolve(null), cancel() {} } }, {
      builtIn,
    });
  } catch (error) {
    end();
    throw error;
  } finally {
    signal.removeEventListener("abort", end);
  }
}

/** The built file beside the runtime of this context, or one that is kept here for others. */
async function findPayload(host: ProcessHost, target: string): Promise<Payload | null> {
  for (const path of await keptFiles(host)) {
    const file = await readPayload(host, path);
    if (file?.target === target) return file;
  }
  return null;
}
