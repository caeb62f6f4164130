/**
 * A client's link to the daemon and a context that it opened there. Connects to the daemon's socket; starts a
 * daemon when there is none and replaces one of another version. The hot path of every command: it imports
 * little, and loads the rest when it is needed.
 */
import { HoldfastError } from "../core/errors.ts";
import { encodeGreeting, type Greeting, readGreeting } from "../core/greeting.ts";
import type { Transport } from "../core/host.ts";
import type { JsonObject } from "../core/json.ts";
import { Link } from "../core/link.ts";
import { Router } from "../core/router.ts";
import { serve } from "../core/service.ts";
import { checkRuntimeDir, locateRuntimeDir, type RuntimeDir } from "../rendezvous/runtime_dir.ts";
import { socketTransport } from "../rendezvous/socket_transport.ts";
import { VERSION } from "../rendezvous/version.ts";

/** ssh's own options, as `cli/options.ts` reads them and `master/ssh_config.ts` takes them. */
export interface SshOptions {
  configFile?: string;
  identityFiles?: string[];
  port?: number;
  user?: string;
  jump?: string;
  options?: string[];
}

export interface OpenRequest {
  target: string;
  ssh?: SshOptions;
  /** What the context is for: a first command need not wait for the core, a terminal needs an SSH channel. */
  purpose?: "command" | "files" | "terminal";
  /** A password that need not be asked for (the relay's init block). */
  password?: string;
  signal?: AbortSignal;
}

/** A link to the daemon. */
export interface Session extends AsyncDisposable {
  router: Router;
  /** Opens a target; resolves with its context's id. */
  open(request: OpenRequest): Promise<number>;
  /** Calls the daemon's own services. */
  daemon(service: string, method: string, args?: JsonObject): Promise<JsonObject>;
  /** Ends the link when what was sent has left. */
  close(): Promise<void>;
}

/** Environment that decides how a host is reached and who one is there. */
export const SENT_ENVIRONMENT = ["HOME", "USER", "LOGNAME", "PATH", "SSH_AUTH_SOCK"];

/**
 * Connects to the user's daemon. With `start: false` there must be one: null when there is none.
 *
 * @throws {HoldfastError} `refused` for an unsafe directory, `disconnected` when the daemon cannot be started
 */
export async function connectDaemon(options: { start: false }): Promise<Session | null>;
export async function connectDaemon(options?: { start?: true }): Promise<Session>;
export async function connectDaemon(
  { start = true }: { start?: boolean } = {},
): Promise<Session | null> {
  const dir = locateRuntimeDir();
  let found = checkRuntimeDir(dir) ? await greetDaemon(dir) : null;
  for (let attempt = 0; attempt < 3; attempt++) {
    if (found && found.greeting.body.version === VERSION && !found.greeting.body.error) {
      return join(found);
    }
    if (!start && !found) return null;
    const { startDaemon } = await import("./start_daemon.ts");
    found = await startDaemon(dir, found);
  }
  throw new HoldfastError("version", `Cannot use the daemon: another version keeps replacing it`);
}

/** A daemon that answered. */
export interface GreetedDaemon {
  transport: Transport;
  greeting: Greeting;
  rest: Uint8Array;
}

/** Connects and exchanges greetings; null when nobody listens, or it went away meanwhile. */
export async function greetDaemon(
  dir: RuntimeDir,
  body: JsonObject = {},
): Promise<GreetedDaemon | null> {
  let conn: Deno.Conn;
  let cookie: string;
  try {
    cookie = Deno.readTextFileSync(dir.cookie);
    conn = await Deno.connect({ transport: "unix", path: dir.socket });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    if (error instanceof Deno.errors.ConnectionRefused) return null;
    throw new HoldfastError(
      "connect",
      `Cannot reach the daemon at ${JSON.stringify(dir.socket)}: ${(error as Error).message}`,
    );
  }
  const transport = socketTransport(conn);
  try {
    await transport.write(encodeGreeting({ cookie, version: VERSION, ...body }));
    return { transport, ...await readGreeting(transport) };
  } catch {
    transport.close();
    return null;
  }
}

function join({ transport, greeting, rest }: GreetedDaemon): Session {
  const { id, parents } = greeting.body as { id: number; parents: number[] };
  const router = new Router({ id, parentIds: parents });
  const link = new Link(parents[0], transport);
  router.setParent(link);
  serve(router, {
    client: {
      ask: {
        policy: "parents",
        handle: async (question, call) => {
          const { answerQuestion } = await import("./ask.ts");
          return await answerQuestion(question, { signal: call.signal });
        },
      },
    },
  });
  void link.run({
    onFrame: (frame) => router.receive(frame, link),
    onClose: (error) => {
      const why = `the daemon went away${error ? ` (${error.message})` : ""}; run the command again`;
      router.removeLink(link, new HoldfastError("disconnected", why));
    },
  }, rest);

  const session: Session = {
    router,
    async open({ signal, ...request }) {
      const env: JsonObject = {};
      for (const name of SENT_ENVIRONMENT) env[name] = Deno.env.get(name);
      const args = { ...request, env, cwd: Deno.cwd() } as unknown as JsonObject;
      const { context } = await router.call(
        parents[0],
        { service: "connection", method: "open", args },
        { signal },
      ) as { context: number };
      return context;
    },
    async daemon(service, method, args) {
      return await router.call(parents[0], { service, method, args }) as JsonObject;
    },
    async close() {
      await link.flush();
      link.close(null);
    },
    [Symbol.asyncDispose]: () => session.close(),
  };
  return session;
}
