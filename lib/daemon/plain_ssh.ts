/**
 * Held connections for the system's ssh: for each SSH host that the daemon holds a connection to, it listens at the
 * control socket where ssh looks for one, if it was told to (`holdfast setup ssh-config`). One for the daemon.
 */
import { HoldfastError } from "../core/errors.ts";
import type { Router } from "../core/router.ts";
import type { SshSettings } from "../master/ssh_settings.ts";
import type { MuxSockets, Way } from "../mux/mux_sockets.ts";
import { isControlPath } from "../rendezvous/control_path.ts";
import { realSsh } from "../rendezvous/real_ssh.ts";
import type { RuntimeDir } from "../rendezvous/runtime_dir.ts";
import { parseTarget } from "../rendezvous/target.ts";
import type { Connection } from "./connection.ts";
import type { Log } from "./log.ts";
import type { OpenRequest } from "./planner.ts";

/** The daemon as the client of its own. */
export interface OwnClient {
  open(request: OpenRequest, signal: AbortSignal): Promise<{ context: number }>;
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

/** A connection to an SSH host that somebody has been given. */
export interface Held {
  connection: Connection;
  /** The host's. */
  settings: SshSettings;
  request: OpenRequest;
  /** Of the whole stack. */
  hops: number;
}

/** Options of ssh that are a session's and not the connection's. */
const OF_SESSIONS =
  /^(batchmode|clearallforwardings|connecttimeout|control\w+|escapechar|loglevel|permitlocalcommand|remotecommand|requesttty|sendenv|serveralive\w+|setenv)[ =]|^forwardagent[ =]no$/i;

/** What ssh_config may want of each session and we do not do: ssh would ask us in vain every time. */
const WANTS_MORE = ["localforward", "remoteforward", "dynamicforward", "forwardx11", "tunnel"];

export class PlainSsh {
  readonly #options: PlainSshOptions;
  /** By path: who has it, and under which names. */
  readonly #offered: Map<string, { connection: Connection; names: Set<string> }> = new Map();
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
    const { connection } = held;
    if (connection.isClosed || WANTS_MORE.some((name) => wants(held.settings, name))) return;
    const name = nameIn(held);
    if (name === null) return;
    const before = this.#offered.get(path);
    const isOurs = before?.connection === connection;
    // Two that ssh cannot tell apart, as where they are reached through different jump hosts: the first has it.
    if (before && !isOurs && before.connection.key !== connection.key) return;
    const known = `${held.request.ssh?.configFile ?? ""} ${name}`;
    const names = before && isOurs ? before.names : new Set<string>();
    if (names.has(known)) return;
    names.add(known);
    if (!isOurs) {
      this.#offered.set(path, { connection, names });
      void connection.closed.then(() => this.#forget(path, connection));
    }
    this.#listen(path, { ...held, name }).catch((error) => {
      log("warn", `${connection.target}: plain ssh logs in by itself: ${error.message}`);
    });
  }

  /** Nobody finds the sockets any more; what is under way goes on. */
  async close(): Promise<void> {
    this.#isClosed = true;
    (await this.#sockets)?.withdrawAll();
  }

  #forget(path: string, connection: Connection): void {
    if (this.#offered.get(path)?.connection === connection) this.#offered.delete(path);
  }

  async #listen(
    path: string,
    { connection, settings, request, name }: Held & { name: string },
  ): Promise<void> {
    const { dir, router, client, retire } = this.#options;
    this.#sockets ??= import("../mux/mux_sockets.ts").then(({ MuxSockets }) => new MuxSockets(dir));
    const sockets = await this.#sockets;
    if (this.#isClosed || this.#offered.get(path)?.connection !== connection) return;
    const { target, ssh, env, cwd } = request;
    const meet = (end: () => void): Way => {
      const { open, release } = client(end);
      return {
        router,
        forwardsAgent: !/^(no|false)$/.test(settings.raw.get("forwardagent")?.[0] ?? "no"),
        open: async (purpose, signal) =>
          (await open({ target, ssh, env, cwd, purpose }, signal)).context,
        end: ({ now }) => {
          if (this.#offered.get(path)?.connection === connection) sockets.withdraw(path);
          this.#forget(path, connection);
          if (now) connection.close(givenUp(connection.target));
          else retire(connection);
        },
        [Symbol.asyncDispose]: async () => release(),
      };
    };
    sockets.offer(path, { closed: connection.closed, meet });
    const program = realSsh(env.PATH);
    if (program !== null) {
      sockets.name(path, { name, program, configFile: ssh?.configFile });
    }
  }
}

/**
 * The destination that was typed, when nothing else decided which connection it is; else null: with `-A`, say, more is
 * possible over it than others who type the same have asked for.
 */
function nameIn({ request: { target, ssh = {} }, settings, hops }: Held): string | null {
  const { user, options = [], configFile, provision: _provision, ...decisive } = ssh;
  const isEmpty = (value: unknown) =>
    value === undefined || value === false || (Array.isArray(value) && value.length === 0);
  if (hops > 1 || !Object.values(decisive).every(isEmpty)) return null;
  if (configFile !== undefined && !/^(\/[\w.@+-]+)+$/.test(configFile)) return null;
  if (!options.every((option) => OF_SESSIONS.test(option))) return null;
  const [hop] = parseTarget(target);
  if (hop.method !== "ssh" || hop.host !== settings.host || hop.port !== undefined) return null;
  const login = hop.user ?? user;
  return login === undefined ? hop.host : `${login}@${hop.host}`;
}

function wants({ raw }: SshSettings, name: string): boolean {
  return !/^(no|false)$/.test(raw.get(name)?.[0] ?? "no");
}

function givenUp(target: string): HoldfastError {
  return new HoldfastError("disconnected", `${target}: disconnected by ssh -O exit`);
}
