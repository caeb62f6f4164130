/** From a client's words to the way that leads to the target, and the key under which it is shared. */
import { HoldfastError } from "../core/errors.ts";
import { hex } from "../core/greeting.ts";
import type { Ask } from "../master/ask.ts";
import type { SshOptions, SshSettings } from "../master/ssh_config.ts";
import { sshEndpoint } from "../master/ssh_endpoint.ts";
import { SshResolver } from "../master/ssh_resolver.ts";
import { localEndpoint } from "../parent/local.ts";
import type { Endpoint } from "../parent/endpoint.ts";
import { formatTarget, parseTarget } from "../rendezvous/target.ts";
import type { Purpose } from "./connection.ts";
import type { Log } from "./log.ts";

/** What a client asks for; `client/session.ts` sends it. */
export interface OpenRequest {
  target: string;
  ssh?: SshOptions;
  purpose?: Purpose;
  password?: string;
  /** The client's environment, as far as it decides how a host is reached. */
  env: Record<string, string>;
  cwd: string;
}

export interface Plan {
  /** The target in canonical words. */
  target: string;
  /** sha256 over all that decides where it leads and who one is there. */
  key: string;
  reach: (ask: Ask, signal: AbortSignal) => Promise<Endpoint>;
}

export class Planner {
  readonly #log: Log;
  readonly #resolver = new SshResolver();
  /** Mixed into every key, so that nothing can be learned of the passwords in them. */
  readonly #salt = hex(crypto.getRandomValues(new Uint8Array(32)));

  constructor(log: Log) {
    this.#log = log;
  }

  /** Rejects with `usage` or `resolve` when the words or ssh_config make no sense. */
  async plan(request: OpenRequest, signal: AbortSignal): Promise<Plan> {
    const hops = parseTarget(request.target);
    const target = formatTarget(hops);
    const [hop] = hops;
    if (hops.length > 1 || (hop.method !== "ssh" && hop.method !== "local")) {
      throw new HoldfastError(
        "usage",
        `Cannot open target ${
          JSON.stringify(target)
        }: this version reaches one hop, a host by ssh or "local"`,
      );
    }
    if (hop.method === "local") {
      return { target, key: await this.#digest("local"), reach: async () => localEndpoint() };
    }
    const { env, cwd, password } = request;
    const options = { ...request.ssh };
    if (hop.user !== undefined) options.user = hop.user;
    if (hop.port !== undefined) options.port = hop.port;
    const resolved = await this.#resolver.resolve(hop.host, options, { env, cwd, signal });
    const settings = password === undefined ? resolved : { ...resolved, password };
    const agentSocket = env.SSH_AUTH_SOCK;
    return {
      target,
      key: await this.#digest(identity(settings, agentSocket)),
      reach: (ask, signal) =>
        sshEndpoint(settings, {
          ask,
          signal,
          agentSocket,
          log: this.#log,
          resolve: this.#resolver.resolve.bind(this.#resolver),
        }),
    };
  }

  async #digest(text: string): Promise<string> {
    const bytes = new TextEncoder().encode(this.#salt + text);
    return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
  }
}

/** All of the settings but the words that led to them, which a ProxyCommand may still contain. */
function identity(settings: SshSettings, agentSocket: string | undefined): string {
  const { host, request: _request, raw: _raw, ...decisive } = settings;
  const name = decisive.proxyCommand?.includes("%n") ? host : null;
  return JSON.stringify({ ...decisive, name, agentSocket });
}
