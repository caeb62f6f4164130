/** What a connection method yields: a machine, or a place on it, where processes can be started. */
import type { HoldfastError } from "../core/errors.ts";
import type { Child, Host, SpawnOptions, Transport } from "../core/host.ts";

/** A host that has been reached. The core is started on it by spawning a first stage. */
export interface Endpoint {
  /** Who one is there, for people: `ann@web1:22`. */
  description: string;
  host: Host;
  /** Runs a first stage, a line for a shell; the child's streams become the link to the core. */
  startCore(line: string): Promise<Child>;
  /** The core that was started answers, and will run on; `spawn` starts a process through it. */
  coreRuns?(spawn: (options: SpawnOptions) => Promise<Child>): void;
  /** Connects from there to another host, where the endpoint can do that by itself. */
  dial?(host: string, port: number): Promise<DialledTransport>;
  /** Resolves when it is lost or closed, with the reason; never rejects. */
  closed: Promise<HoldfastError>;
  /** Idempotent. */
  close(): void;
}

/** A connection that an endpoint has made. */
export interface DialledTransport extends Transport {
  /** Nothing more is written; what still comes can be read. */
  end(): void;
}
