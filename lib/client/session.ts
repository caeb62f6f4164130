/**
 * A client's link to the daemon and a context that it opened there. Connects to the daemon's socket; starts a
 * daemon when there is none and replaces one of another version. The hot path of every command: it imports
 * little, and loads the rest when it is needed.
 */
import { ROOT_ID } from "../core/constants.ts";
import { HoldfastError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { Link } from "../core/link.ts";
import { Router } from "../core/router.ts";
import { serve, type Service } from "../core/service.ts";
import { checkRuntimeDir, locateRuntimeDir } from "../rendezvous/runtime_dir.ts";
import type { SshOptions } from "../rendezvous/ssh_options.ts";
import { greetDaemon, type GreetedDaemon, isOurs } from "./greet_daemon.ts";

export type { SshOptions };

/** Some hops, and what is given for them alone. */
export interface Segment {
  target: string;
  ssh?: SshOptions;
  /** A password that need not be asked for (the relay's init block). */
  password?: string;
  /** The same for sudo, su and doas. */
  becomePassword?: string;
}

export interface OpenRequest extends Segment {
  /** What leads to where `target` begins, in order. Default: this machine. */
  behind?: Segment[];
  /**
   * What the context is for: a first command need not wait for the core, a terminal needs an SSH channel, and so does
   * a `channel` (a subsystem, an agent) and `sftp` where there is one; `code` has the core wherever there can be one. `net`:
   * connections from there.
   */
  purpose?: "command" | "code" | "files" | "terminal" | "channel" | "sftp" | "net";
  /** Keywords of ssh_config, in lower case, to be told of; see {@linkcode OpenedSession}. */
  keywords?: readonly string[];
  signal?: AbortSignal;
}

/** A target that was opened with the session. */
export interface OpenedSession {
  session: Session;
  context: number;
  /** What ssh_config says to the request's `keywords`, for the stack's last SSH host. */
  keywords: Record<string, string[]>;
}

/** A link to the daemon. */
export interface Session extends AsyncDisposable {
  router: Router;
  /** Opens a target; resolves with its context's id. */
  open(request: OpenRequest): Promise<number>;
  /** Serves others of this user's clients, and the daemon, one more service. */
  serve(name: string, service: Service): void;
  /** Calls the daemon's own services. */
  daemon(service: string, method: string, args?: JsonObject): Promise<JsonObject>;
  /** Ends the link when what was sent has left. */
  close(): Promise<void>;
}

/** Environment that decides how a host is reached and who one is there. */
export const SENT_ENVIRONMENT = [
  "HOME",
  "USER",
  "LOGNAME",
  "PATH",
  "SSH_AUTH_SOCK",
  // GSSAPI's tickets.
  "KRB5CCNAME",
  // Where names of stacks are looked up.
  "XDG_CONFIG_HOME",
  "HOLDFAST_HOSTS",
  "ANSIBLE_CONFIG",
  // Whether what lacks a runtime is given one.
  "HOLDFAST_PROVISION",
];

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
  const found = await meet({ start });
  return found && join(found);
}

/**
 * Connects to the daemon and opens a target there, in one round trip when the daemon runs: the first call travels
 * with the greeting. Throws as `connectDaemon` and `Session.open` do.
 */
export async function openSession(
  { signal, ...request }: OpenRequest,
): Promise<OpenedSession> {
  const call = openCall(request);
  const found = await meet({ start: true, call });
  // The daemon answers that call under the first handle that we allocate; one that was just started had none.
  let reply: Promise<Json> | undefined;
  const session = join(found!, (router) => {
    if (found!.greeting.body.called) reply = router.expectReply(ROOT_ID, { signal }).reply;
  });
  try {
    reply ??= session.router.call(ROOT_ID, call, { signal });
    const { context, keywords } = await reply as Partial<OpenedSession>;
    return { session, context: context!, keywords: keywords ?? {} };
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** Finds the daemon, or starts it. Null when there is none and none is to be started. */
async function meet(
  { start, call }: { start: boolean; call?: JsonObject },
): Promise<GreetedDaemon | null> {
  const dir = locateRuntimeDir();
  let found = checkRuntimeDir(dir) ? await greetDaemon(dir, call ? { call } : {}) : null;
  for (let attempt = 0; attempt < 3; attempt++) {
    if (found && isOurs(found)) return found;
    if (!start && !found) return null;
    const { startDaemon }: typeof import("./start_daemon.ts") = await import(
      "./start_daemon.ts" as string
    );
    found = await startDaemon(dir, found);
  }
  throw new HoldfastError("version", "Cannot use the daemon: another version keeps replacing it");
}

/** This client's part of {@linkcode SENT_ENVIRONMENT}. */
export function sentEnvironment(): JsonObject {
  const env: JsonObject = {};
  for (const name of SENT_ENVIRONMENT) env[name] = Deno.env.get(name);
  return env;
}

function openCall(request: Omit<OpenRequest, "signal">) {
  const args = { ...request, env: sentEnvironment(), cwd: Deno.cwd() } as unknown as JsonObject;
  return { service: "connection", method: "open", args };
}

/** `prepare` gets the router before the first frame is read. */
function join(
  { transport, greeting, rest }: GreetedDaemon,
  prepare: (router: Router) => void = () => {},
): Session {
  const { id, parents } = greeting.body as { id: number; parents: number[] };
  const router = new Router({ id, parentIds: parents });
  const link = new Link(parents[0], transport);
  router.setParent(link);
  const services: Record<string, Service> = {
    client: {
      ask: {
        policy: "parents",
        handle: async (question, call) => {
          const { answerQuestion }: typeof import("./ask.ts") = await import("./ask.ts" as string);
          return await answerQuestion(question, { signal: call.signal });
        },
      },
    },
  };
  serve(router, services);
  prepare(router);
  void link.run({
    onFrame: (frame) => router.receive(frame, link),
    onClose: (error) => {
      const why = `the daemon went away${
        error ? ` (${error.message})` : ""
      }; run the command again`;
      router.removeLink(link, new HoldfastError("disconnected", why));
    },
  }, rest);

  const session: Session = {
    router,
    async open({ signal, ...request }) {
      const reply = await router.call(parents[0], openCall(request), { signal });
      const { context } = reply as { context: number };
      return context;
    },
    serve(name, service) {
      services[name] = service;
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
