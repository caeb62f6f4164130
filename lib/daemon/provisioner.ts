/**
 * Gives hosts without a runtime one, in the background of the connection that serves them directly meanwhile. One for
 * the daemon, which knows how often a host was used; one `HostProvisioning` for each connection that lacks a runtime.
 */
import { HoldfastError } from "../core/errors.ts";
import type { Child } from "../core/host.ts";
import { printable } from "../core/printable.ts";
import { denoHost } from "../files/host_deno.ts";
import { coreStart, provision } from "../parent/provision.ts";
import { SHELL_LOOP } from "../parent/shell_loop.ts";
import type { Endpoint } from "../master/endpoint.ts";
import type { ProvisionPolicy } from "../rendezvous/provision_policy.ts";
import { coreSource } from "../sources/core_source.ts";
import { BuiltFiles } from "./built_files.ts";
import type { Log } from "./log.ts";

export class Provisioner {
  readonly files: BuiltFiles;
  /** By connection key. */
  readonly #uses: Map<string, number> = new Map();

  /** `launched`: see {@linkcode BuiltFiles}. */
  constructor(launched?: string) {
    this.files = new BuiltFiles(launched);
  }

  /** How often it has been used by now, this time included. */
  countUse(key: string): number {
    const uses = (this.#uses.get(key) ?? 0) + 1;
    this.#uses.set(key, uses);
    return uses;
  }
}

export interface HostProvisioningOptions {
  target: string;
  /** What `ps` shows of the core. */
  title: string;
  endpoint: Endpoint;
  files: BuiltFiles;
  log: Log;
  /** Whether the connection has ended. */
  isClosed: () => boolean;
  /** Makes a context of the child, which has just become a core, or its first stage. */
  join: (child: Child, options: { builtIn: boolean }) => Promise<void>;
}

export class HostProvisioning {
  readonly #options: HostProvisioningOptions;
  #work: Promise<void> | null = null;
  #note: string | null = null;

  constructor(options: HostProvisioningOptions) {
    this.#options = options;
  }

  /** How it stands, for people; null when nothing has been tried. */
  get note(): string | null {
    return this.#note;
  }

  /**
   * Somebody uses the host for the `uses`th time. Resolves at once when he can be served directly, otherwise when it
   * is known whether there is a core. It is tried once in a connection's life.
   */
  async use(
    policy: ProvisionPolicy,
    { uses, needed }: { uses: number; needed: boolean },
  ): Promise<void> {
    if (policy === "never") return;
    const waits = policy === "always" || needed;
    if (!waits && uses < 2) return;
    this.#work ??= this.#run();
    if (waits) await this.#work;
  }

  async #run(): Promise<void> {
    const { target, title, endpoint, files, log, isClosed, join } = this.#options;
    let child: Child | null = null;
    try {
      this.#note = "looking at the host";
      child = await endpoint.startCore(`exec sh -c '${SHELL_LOOP}'`);
      const { become, ...place } = await provision(child, {
        host: denoHost,
        payload: async (name) => {
          const file = await files.find(name);
          log("info", `${target}: sending ${file.path}, ${megabytes(file.size)}`);
          return file;
        },
        onProgress: (there, all) =>
          this.#note = `${megabytes(there)} of ${megabytes(all)} are there`,
      });
      const { line, builtIn } = coreStart(place, { core: await coreSource(), title });
      await become(line);
      await join(child, { builtIn });
      this.#note = null;
    } catch (error) {
      child?.kill("SIGKILL");
      if (isClosed()) return;
      const why = printable((error as Error).message);
      this.#note = error instanceof HoldfastError && error.kind === "bootstrap"
        ? why
        : `Cannot provision: ${why}`;
      log("warn", `${target}: served directly: ${this.#note}`);
    }
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
