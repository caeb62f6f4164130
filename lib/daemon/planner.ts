/** From a client's words to the way that leads to the target, and the key under which it is shared. */
import { hex } from "../core/greeting.ts";
import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import type { Ask } from "../master/ask.ts";
import { opensshEndpoint } from "../master/openssh_endpoint.ts";
import { opensshReason } from "../master/openssh_reason.ts";
import type { SshOptions, SshSettings } from "../master/ssh_config.ts";
import { sshEndpoint } from "../master/ssh_endpoint.ts";
import { SshResolver } from "../master/ssh_resolver.ts";
import type { StackFiles } from "../stacks/stack_files.ts";
import { type ResolvedHop, resolveStack } from "../stacks/stack_resolver.ts";
import { localEndpoint } from "../master/local_endpoint.ts";
import type { Endpoint } from "../master/endpoint.ts";
import { type ProvisionPolicy, provisionPolicy } from "../rendezvous/provision_policy.ts";
import { realSsh } from "../rendezvous/real_ssh.ts";
import { MAX_HOPS, parseTarget, type SshHop } from "../rendezvous/target.ts";
import type { AskpassDesk } from "./askpass_desk.ts";
import type { Connection, Purpose } from "./connection.ts";
import { dialer } from "./dialer.ts";
import type { Log } from "./log.ts";
import type { Tree } from "./tree.ts";

/** Some hops, and what is given for them alone. */
interface Segment {
  target: string;
  ssh?: SshOptions;
  /** Logs in to their last SSH host. */
  password?: string;
  /** For their last sudo, su or doas. */
  becomePassword?: string;
}

/** What a client asks for; `client/session.ts` sends it. */
export interface OpenRequest extends Segment {
  /** What leads to where `target` begins, in order; this machine when it is empty. */
  behind?: Segment[];
  purpose?: Purpose;
  /** The client's environment, as far as it decides how a host is reached. */
  env: Record<string, string>;
  cwd: string;
  /** Keywords of ssh_config, in lower case, whose values for the stack's last SSH host the client wants to know. */
  keywords?: readonly string[];
}

/** What a step is made of besides its hop. */
interface StepContext {
  target: string;
  /** The key of the step before; empty for the first. */
  above: string;
  request: OpenRequest;
  /** Known beforehand. */
  password?: string;
}

type Reach = (
  context: { above: Connection | null; ask: Ask; signal: AbortSignal },
) => Promise<Endpoint>;

/** One hop of a stack, how its connection is made, and whether it is given a runtime when it lacks one. */
export type Step = Way & { provision: ProvisionPolicy };

type Way =
  & { target: string; key: string }
  & (
    | {
      /** A host, reached by this daemon, through `above` where there is one. */
      kind: "host";
      /** Of an SSH host. */
      settings?: SshSettings;
      reach: Reach;
    }
    | { kind: "hop"; method: string; argument?: string; user?: string; password?: string }
  );

/** A stack as connections: each step goes through the one before. */
export interface Plan {
  /** The target in canonical words. */
  target: string;
  steps: Step[];
}

/** Methods whose password is `becomePassword`. */
const BECOME: ReadonlySet<string> = new Set(["sudo", "su", "doas"]);

const HERE: ResolvedHop = { hop: { method: "local" }, name: "local", options: {}, source: "" };

export class Planner {
  readonly #log: Log;
  readonly #tree: Tree;
  readonly #files: StackFiles;
  readonly #desk: AskpassDesk;
  /** What hosts' control sockets are called, see `rendezvous/control_path.ts`. */
  readonly #controlPath: string | undefined;
  readonly #resolver = new SshResolver();
  /** Mixed into every key, so that nothing can be learned of the passwords in them. */
  readonly #salt = hex(crypto.getRandomValues(new Uint8Array(32)));

  constructor(
    { log, tree, files, desk, controlPath }: {
      log: Log;
      tree: Tree;
      files: StackFiles;
      desk: AskpassDesk;
      controlPath?: string;
    },
  ) {
    this.#controlPath = controlPath;
    this.#log = log;
    this.#desk = desk;
    this.#files = files;
    this.#tree = tree;
  }

  /** Rejects with `usage` or `resolve` when the words or ssh_config make no sense. */
  async plan(request: OpenRequest, signal: AbortSignal): Promise<Plan> {
    const { behind = [], env, cwd } = request;
    const sources = this.#files.sourcesFor({ env, cwd, signal });
    const steps: Step[] = [];
    for (const segment of [...behind, request]) {
      const { target, ssh } = segment;
      const hops = await resolveStack(parseTarget(target), { sources, ssh });
      await this.#addSteps(steps, hops, { segment, request, signal });
    }
    const { target } = steps.at(-1)!;
    if (steps.length > MAX_HOPS + 1) {
      const why = `it comes to more than ${MAX_HOPS} hops`;
      throw new HoldfastError("resolve", `Cannot resolve "${printable(target)}": ${why}`);
    }
    return { target, steps };
  }

  async #addSteps(
    steps: Step[],
    resolved: ResolvedHop[],
    { segment, request, signal }: { segment: Segment; request: OpenRequest; signal: AbortSignal },
  ): Promise<void> {
    const { env } = request;
    const { ssh } = segment;
    // A place on this machine is behind this machine.
    const isPlace = !["ssh", "local"].includes(resolved[0].hop.method);
    if (steps.length === 0 && isPlace) resolved.unshift(HERE);
    // A password that the user gives is for where he is going, not for the hops on the way.
    const lastSsh = resolved.findLastIndex(isSsh);
    const lastBecome = resolved.findLastIndex(({ hop }) => BECOME.has(hop.method));
    // Not part of any key: whoever comes next shares what was given before.
    const policy = ssh?.provision ?? policyIn(env);
    for (const [index, hop] of resolved.entries()) {
      const before = steps.at(-1);
      const target = before ? `${before.target},${hop.name}` : hop.name;
      const given = index === lastSsh
        ? segment.password
        : index === lastBecome
        ? segment.becomePassword
        : undefined;
      const password = given ?? hop.password?.reveal();
      const context = { target, above: before?.key ?? "", request, password };
      const step = isSsh(hop)
        ? await this.#sshStep(hop, { ...context, signal })
        : !before && hop.hop.method === "local"
        ? await this.#localStep(target)
        : await this.#hopStep(hop, context);
      steps.push({ ...step, provision: policy ?? hop.options.provision ?? "auto" });
    }
  }

  async #localStep(target: string): Promise<Way> {
    return {
      kind: "host",
      target,
      key: await this.#digest("local"),
      reach: async () => localEndpoint(),
    };
  }

  async #sshStep(
    { hop, options: given }: ResolvedHop & { hop: SshHop },
    { target, above, request, password, signal }: StepContext & { signal: AbortSignal },
  ): Promise<Way> {
    const { env, cwd } = request;
    const options = { ...given };
    // Its way is the hop before it, whatever ssh_config says.
    if (above !== "") options.jump = "none";
    const resolved = await this.#resolver.resolve(hop.host, options, {
      ...{ env, cwd, signal },
      controlPath: this.#controlPath,
    });
    // A session's environment is each client's own; the connection is shared by those who differ in it.
    const shared = { ...resolved, sendEnv: [], setEnv: {} };
    const settings = password === undefined ? shared : { ...shared, password };
    const forced = given.openssh === true;
    const reason = forced ? "asked for" : await opensshReason(settings);
    const program = reason === null ? null : realSsh(env.PATH);
    if (forced && program === null) {
      throw new HoldfastError(
        "usage",
        `Cannot connect to ${target} with OpenSSH's client: ssh is not in your PATH; install it`,
      );
    }
    if (reason !== null && program !== null) {
      const key = await this.#digest(above + opensshIdentity(settings));
      const reach = this.#opensshWay(settings, { target, reason, program });
      return { kind: "host", target, settings, key, reach };
    }
    const agentSocket = env.SSH_AUTH_SOCK;
    return {
      kind: "host",
      target,
      settings,
      key: await this.#digest(above + identity(settings, agentSocket)),
      reach: async ({ above, ask, signal }) => {
        try {
          return await sshEndpoint(settings, {
            ask,
            signal,
            agentSocket,
            log: this.#log,
            resolve: this.#resolver.resolve.bind(this.#resolver),
            via: above ? await dialer(above, this.#tree) : undefined,
          });
        } catch (error) {
          throw reason === null ? error : withReason(error, reason);
        }
      },
    };
  }

  #opensshWay(
    settings: SshSettings,
    { target, reason, program }: { target: string; reason: string; program: string },
  ): Reach {
    return async ({ above, ask, signal }) => {
      this.#log("info", `${target}: by OpenSSH's client: ${reason}`);
      return await opensshEndpoint(settings, {
        program,
        directory: this.#desk.directory,
        askpass: (answer) => this.#desk.lend(answer),
        ask,
        signal,
        log: this.#log,
        via: above ? await dialer(above, this.#tree) : undefined,
      });
    };
  }

  async #hopStep(
    { hop, options: { user } }: ResolvedHop,
    { target, above, password }: StepContext,
  ): Promise<Way> {
    const { method } = hop;
    const argument = "argument" in hop ? hop.argument : undefined;
    const key = await this.#digest(above + JSON.stringify([method, argument, user, password]));
    return { kind: "hop", target, key, method, argument, user, password };
  }

  async #digest(text: string): Promise<string> {
    const bytes = new TextEncoder().encode(this.#salt + text);
    return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
  }
}

/**
 * All of the settings but the words that led to them, which a ProxyCommand may still contain, and what only says how
 * patiently it is made.
 */
function identity(settings: SshSettings, agentSocket: string | undefined): string {
  const { host, request: _request, raw, ...rest } = settings;
  const {
    batchMode: _batch,
    connectTimeout: _timeout,
    numberOfPasswordPrompts: _prompts,
    ...decisive
  } = rest;
  const name = decisive.proxyCommand?.includes("%n") ? host : null;
  // Once an agent is forwarded, its server lets everything see it that is started over the connection.
  const forwardAgent = raw.get("forwardagent")?.[0] ?? "no";
  return JSON.stringify({ ...decisive, name, agentSocket, forwardAgent });
}

/** Of what OpenSSH's client reads, that which differs between clients and is not in its command line. */
const OPENSSH_ENVIRONMENT = ["HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "KRB5CCNAME"];

/** What only a session or the patience of its making is about. */
const NOT_THE_CONNECTION = new Set([
  ...["batchmode", "clearallforwardings", "connecttimeout", "escapechar", "exitonforwardfailure"],
  ...["dynamicforward", "localforward", "remoteforward", "gatewayports"],
  ...["forkafterauthentication", "loglevel", "numberofpasswordprompts", "remotecommand"],
  ...["requesttty", "sendenv", "sessiontype", "setenv", "stdinnull"],
]);

/** It heeds more of ssh_config than we know: all that is about the connection counts. */
function opensshIdentity({ raw: all, password, request }: SshSettings): string {
  const raw = [...all].filter(([keyword]) => !NOT_THE_CONNECTION.has(keyword));
  const { env } = request;
  const environment = OPENSSH_ENVIRONMENT.map((name) => env[name] ?? null);
  return JSON.stringify(["openssh", raw, password ?? null, environment]);
}

/** ssh2 was tried for want of a better one: what it lacks may well be why it failed. */
function withReason(error: unknown, reason: string): unknown {
  if (!(error instanceof HoldfastError)) return error;
  if (!["auth", "host_key", "kex"].includes(error.kind)) return error;
  const [first] = error.message.split("\n");
  const text =
    `${first}\nInstall OpenSSH's client, which Holdfast uses where ssh2 will not do (${reason})`;
  return new HoldfastError(error.kind, text, { cause: error });
}

function policyIn(
  { HOLDFAST_PROVISION: text }: Record<string, string>,
): ProvisionPolicy | undefined {
  if (!text) return undefined;
  try {
    return provisionPolicy(text);
  } catch (error) {
    throw new HoldfastError("usage", `Cannot read HOLDFAST_PROVISION: ${(error as Error).message}`);
  }
}

function isSsh(hop: ResolvedHop): hop is ResolvedHop & { hop: SshHop } {
  return hop.hop.method === "ssh";
}
