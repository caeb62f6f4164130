/**
 * Held connections for plain ssh: where ssh_config names one of our control sockets for a host (`holdfast setup ssh-config`
 * has written that), the daemon listens there as long as it holds a connection to it. One for the daemon.
 */
import { HoldfastError } from "../core/errors.ts";
import type { Router } from "../core/router.ts";
import type { SshSettings } from "../master/ssh_settings.ts";
import type { MuxSockets, Way } from "../mux/mux_sockets.ts";
import { isControlPath } from "../rendezvous/control_path.ts";
import type { RuntimeDir } from "../rendezvous/runtime_dir.ts";
import type { Connection } from "./connection.ts";
import type { Opened } from "./connection_cache.ts";
import type { Log } from "./log.ts";
import type { OpenRequest } from "./planner.ts";

/** The daemon as the client of its own. */
export interface OwnClient {
  open(request: OpenRequest, signal: AbortSignal): Promise<Opened>;
  /** To be called in the end: what it holds is released. */
  release(): void;
}

export interface PlainSshOptions {
  dir: RuntimeDir;
  router: Router;
  log: Log;
  /** `end` is called when the daemon stops. */
  client: (end: () => void) => OwnClient;
  retire: (connection: Connection) => void;
}

export interface Held {
  connection: Connection;
  settings: SshSettings;
  request: OpenRequest;
}

export class PlainSsh {
  readonly #options: PlainSshOptions;
  readonly #offered: Set<string> = new Set();
  #sockets: Promise<MuxSockets> | null = null;
  #isClosed = false;

  constructor(options: PlainSshOptions) {
    this.#options = options;
  }

  /** For each time that a connection is given to somebody. */
  offer(held: Held): void {
    const path = held.settings.raw.get("controlpath")?.[0] ?? "none";
    const { dir, log } = this.#options;
    if (this.#isClosed || Deno.build.os !== "linux" || !isControlPath(path, dir)) return;
    if (this.#offered.has(path) || held.connection.isClosed) return;
    this.#offered.add(path);
    void held.connection.closed.then(() => this.#offered.delete(path));
    this.#listen(path, held).catch((error) => {
      log("warn", `${held.connection.target}: plain ssh logs in by itself: ${error.message}`);
    });
  }

  /** Nobody finds the sockets any more; what is under way goes on. */
  async close(): Promise<void> {
    this.#isClosed = true;
    (await this.#sockets)?.withdrawAll();
  }

  async #listen(path: string, { connection, settings, request }: Held): Promise<void> {
    const { dir, router, client, retire } = this.#options;
    this.#sockets ??= import("../mux/mux_sockets.ts").then(({ MuxSockets }) => new MuxSockets(dir));
    const sockets = await this.#sockets;
    if (this.#isClosed || connection.isClosed) return;
    const { target, ssh, env, cwd } = request;
    const meet = (end: () => void): Way => {
      const { open, release } = client(end);
      return {
        router,
        forwardsAgent: !/^(no|false)$/.test(settings.raw.get("forwardagent")?.[0] ?? "no"),
        open: async (purpose, signal) =>
          (await open({ target, ssh, env, cwd, purpose }, signal)).context,
        end: ({ now }) => {
          sockets.withdraw(path);
          if (now) connection.close(givenUp(connection.target));
          else retire(connection);
        },
        [Symbol.asyncDispose]: async () => release(),
      };
    };
    sockets.offer(path, { closed: connection.closed, meet });
  }
}

function givenUp(target: string): HoldfastError {
  return new HoldfastError("disconnected", `${target}: disconnected by ssh -O exit`);
}
