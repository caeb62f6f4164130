/**
 * Held connections for the system's ssh: for each SSH host that the daemon holds a connection to, it listens at the
 * control socket where ssh looks for one, if it was told to (`holdfast setup ssh-config`). One for the daemon.
 */
import { HoldfastError } from "../core/errors.ts";
import type { Router } from "../core/router.ts";
import type { SshSettings } from "../master/ssh_settings.ts";
import { statusOf } from "../dropin/process_options.ts";
import type { Met, MuxSockets, Way } from "../mux/mux_sockets.ts";
import { execSocket, isControlPath } from "../rendezvous/control_path.ts";
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

/** A connection that somebody has been given. */
export interface Held {
  connection: Connection;
  /** Of an SSH host. */
  settings?: SshSettings;
  request: OpenRequest;
  /** Of the whole stack. */
  hops: number;
}

/** Options of ssh that are a session's and not the connection's. */
const OF_SESSIONS =
  /^(batchmode|clearallforwardings|connecttimeout|control\w+|escapechar|loglevel|permitlocalcommand|remotecommand|requesttty|sendenv|serveralive\w+|setenv)[ =]|^forward(agent|x11)[ =]no$/i;
/** How nobody logs in, which is of no account once somebody has; and who. */
const OF_LOGINS =
  /^((kbdinteractive|password)authentication[ =]no$|(preferredauthentications|user)[ =])/i;

/** What ssh_config may want of each session and we do not do: ssh would ask us in vain every time. */
const WANTS_MORE = ["localforward", "remoteforward", "dynamicforward", "forwardx11", "tunnel"];

export class PlainSsh {
  readonly #options: PlainSshOptions;
  /** The words that are known to lead there. */
  readonly #offered: WeakMap<Connection, Set<string>> = new WeakMap();
  #sockets: Promise<MuxSockets> | null = null;
  #isClosed = false;

  constructor(options: PlainSshOptions) {
    this.#options = options;
  }

  /** For each time that a connection is given to somebody. */
  offer(held: Held): void {
    const { connection, request } = held;
    if (this.#isClosed || Deno.build.os !== "linux" || connection.isClosed) return;
    if (!isPlain(request)) return;
    const known = `${request.ssh?.configFile ?? ""} ${request.ssh?.user ?? ""} ${request.target}`;
    const words = this.#offered.get(connection) ?? new Set();
    if (words.has(known)) return;
    this.#offered.set(connection, words.add(known));
    this.#tell(held).catch((error) => {
      const { log } = this.#options;
      log("warn", `${connection.target}: the system's ssh does not find it: ${error.message}`);
    });
  }

  /** Nobody finds the sockets any more; what is under way goes on. */
  async close(): Promise<void> {
    if (this.#isClosed) return; // another daemon may have its sockets there by now
    this.#isClosed = true;
    (await this.#sockets?.catch(() => null))?.withdrawAll();
  }

  async #tell({ connection, settings, request, hops }: Held): Promise<void> {
    const { dir } = this.#options;
    this.#sockets ??= this.#open();
    const sockets = await this.#sockets;
    if (this.#isClosed || connection.isClosed) return;
    const { closed } = connection;
    const { configFile, user, options = [] } = request.ssh ?? {};
    const program = realSsh(request.env.PATH);
    if (program === null) return;
    const decides = user !== undefined || options.some((option) => OF_LOGINS.test(option));
    if (!decides) sockets.mark(request.target, { configFile, closed, program });
    const path = settings?.raw.get("controlpath")?.[0] ?? "none";
    if (!settings || hops > 1 || !isControlPath(path, dir)) return;
    if (WANTS_MORE.some((name) => wants(settings, name))) return;
    if (!this.#listen(path, { sockets, connection, settings, request })) {
      this.#offered.delete(connection);
      return;
    }
    const name = nameIn(request, settings);
    if (name !== null) sockets.name(path, { name, configFile, program });
  }

  async #open(): Promise<MuxSockets> {
    const { dir, router, client } = this.#options;
    const [{ MuxSockets }, { HeldExec }] = await Promise.all([
      import("../mux/mux_sockets.ts"),
      import("./held_exec.ts"),
    ]);
    const sockets = new MuxSockets(dir);
    const exec = new HeldExec({ router, client });
    const never = new Promise<never>(() => {});
    sockets.offer(execSocket(dir), { key: "", closed: never, meet: (met) => exec.meet(met) });
    return sockets;
  }

  #listen(
    path: string,
    { sockets, connection, settings, request }: Omit<Held, "hops"> & {
      sockets: MuxSockets;
      settings: SshSettings;
    },
  ): boolean {
    const { router, client, retire } = this.#options;
    const { target, ssh, env, cwd } = request;
    const { key, closed } = connection;
    const forwardsAgent = !/^(no|false)$/.test(settings.raw.get("forwardagent")?.[0] ?? "no");
    const meet = ({ stop }: Met): Way => {
      const { open, release } = client(stop);
      return {
        router,
        place: (variables) => ({
          forwardsAgent,
          env: variables,
          statusOf,
          readerGone: null,
          lineEnd: "\r\n",
          open: async (purpose, signal) =>
            (await open({ target, ssh, env, cwd, purpose }, signal)).context,
        }),
        end: ({ now }) => {
          sockets.withdraw(path, { closed });
          if (now) connection.close(givenUp(connection.target));
          else retire(connection);
        },
        [Symbol.asyncDispose]: async () => release(),
      };
    };
    return sockets.offer(path, { key, closed, meet });
  }
}

/**
 * Whether nothing but the target's words and a file of ssh_config decides which connection it is: with `-A`, say, more is
 * possible over it than others who type the same have asked for.
 */
function isPlain({ ssh = {}, password, becomePassword }: OpenRequest): boolean {
  const { user: _user, options = [], configFile, provision: _provision, ...decisive } = ssh;
  const isEmpty = (value: unknown) =>
    value === undefined || value === false || (Array.isArray(value) && value.length === 0);
  return [...Object.values(decisive), password, becomePassword].every(isEmpty) &&
    options.every((option) => OF_SESSIONS.test(option) || OF_LOGINS.test(option)) &&
    (configFile === undefined || /^(\/[\w.@+-]+)+$/.test(configFile));
}

/** The destination as it is typed after ssh; null where it says more than who and where. */
function nameIn({ target, ssh }: OpenRequest, { host }: SshSettings): string | null {
  const [hop] = parseTarget(target);
  if (hop.method !== "ssh" || hop.host !== host || hop.port !== undefined) return null;
  const option = ssh?.options?.map((text) => /^user\s*[ =]\s*"?([\w.-]+)"?$/i.exec(text)?.[1]);
  const login = hop.user ?? ssh?.user ?? option?.find((user) => user !== undefined);
  return login === undefined ? host : `${login}@${host}`;
}

function wants({ raw }: SshSettings, name: string): boolean {
  return !/^(no|false)$/.test(raw.get(name)?.[0] ?? "no");
}

function givenUp(target: string): HoldfastError {
  return new HoldfastError("disconnected", `${target}: disconnected by ssh -O exit`);
}
