/** Opens contexts for a program of the user's, through the daemon that the command line shares. */
import { formatTarget, type Hop, parseTarget } from "../rendezvous/target.ts";
import { Channel } from "./channel.ts";
import { Context } from "./remote_context.ts";
import {
  connectDaemon,
  type OpenRequest,
  type Segment,
  type Session,
  type SshOptions,
} from "./session.ts";

export interface OpenOptions {
  /** The context that it is opened behind. Default: this machine. */
  via?: Context;
  /** Gives up. */
  signal?: AbortSignal;
}

export interface SshHopOptions extends OpenOptions, Omit<SshOptions, "user" | "port"> {
  /** A name from ssh_config or DNS, or an address. */
  host: string;
  user?: string;
  /** 1 to 65535. */
  port?: number;
  /**
   * Logs in to this host, and to no other; asked for on the terminal where it is wanted and not given. It goes to the
   * daemon over its socket, and never into arguments or an environment.
   */
  password?: string;
}

export interface BecomeOptions extends OpenOptions {
  /** Default: root. */
  user?: string;
  /**
   * For this hop alone. sudo and doas ask for that of the user whom one is before, su for that of the new one. It is asked
   * for where it is not given, and travels, as a host's does.
   */
  password?: string;
}

export interface ContainerOptions extends OpenOptions {
  /** Its name or id. */
  container: string;
}

/**
 * Connects to the user's daemon, which is started when there is none.
 *
 * @throws {HoldfastError} `refused` for an unsafe runtime directory, `disconnected` when it cannot be started
 */
export async function openRouter(): Promise<Router> {
  return new Router(await connectDaemon());
}

/**
 * - Shared: contexts are the ones that the command line and other programs hold, by what leads to them.
 * - Held: a context stays open for as long as this router does, and for the daemon's idle timeout after it.
 * - Behind: what is opened `via` a context goes through its connection; each hop has its own options and password.
 * - Each method rejects with a HoldfastError that names the hop: `usage`, `connect`, `host_key`, `auth`, `permission`,
 *   `not_found`, `bootstrap`, `timeout`; `cancelled` when it was given up.
 */
export class Router implements AsyncDisposable {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** Opens a stack in the command line's words: `bastion,web1,sudo=postgres`. */
  async open(
    target: string,
    { via, signal, ...options }:
      & OpenOptions
      & Pick<OpenRequest, "ssh" | "password" | "becomePassword"> = {},
  ): Promise<Context> {
    const hops = parseTarget(target);
    const whole = formatTarget([...via ? parseTarget(via.target) : [], ...hops]);
    const request: OpenRequest = {
      ...options,
      ssh: { ...inherited(via?.request.ssh), ...options.ssh },
      target: formatTarget(hops),
      behind: via && [...via.request.behind ?? [], segmentOf(via.request)],
      purpose: "code",
    };
    const id = await this.#session.open({ ...request, signal });
    return new Context(this.#session, { id, target: whole, request });
  }

  /** A host. Its options besides host, user and port are ssh's own. */
  async ssh({ host, user, port, via, signal, password, ...ssh }: SshHopOptions): Promise<Context> {
    const target = formatTarget([{ method: "ssh", host, user, port }]);
    const options = password === undefined ? {} : { password };
    return await this.open(target, { via, signal, ssh, ...options });
  }

  /** A process of its own on this machine, or where `via` is. */
  async local(options: OpenOptions = {}): Promise<Context> {
    return await this.open("local", options);
  }

  async sudo(options: BecomeOptions = {}): Promise<Context> {
    return await this.#become("sudo", options);
  }

  async su(options: BecomeOptions = {}): Promise<Context> {
    return await this.#become("su", options);
  }

  async doas(options: BecomeOptions = {}): Promise<Context> {
    return await this.#become("doas", options);
  }

  async docker({ container, ...options }: ContainerOptions): Promise<Context> {
    return await this.open(hop("docker", container), options);
  }

  async podman({ container, ...options }: ContainerOptions): Promise<Context> {
    return await this.open(hop("podman", container), options);
  }

  /** A place for events: pass it to a function, which gets a `Sender`, and read it here. */
  channel<T>(): Channel<T> {
    return new Channel<T>();
  }

  /** Lets its contexts go; what they still do for this router is given up. */
  async close(): Promise<void> {
    await this.#session.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #become(
    method: "sudo" | "su" | "doas",
    { user, password, ...options }: BecomeOptions,
  ): Promise<Context> {
    const secret = password === undefined ? {} : { becomePassword: password };
    return await this.open(hop(method, user), { ...options, ...secret });
  }
}

/** What goes for all that is opened behind a context unless it is said again. */
function inherited({ configFile, provision }: SshOptions = {}): SshOptions {
  return { ...configFile !== undefined && { configFile }, ...provision && { provision } };
}

function segmentOf({ target, ssh, password, becomePassword }: OpenRequest): Segment {
  return {
    ...{ target, ssh },
    ...password !== undefined && { password },
    ...becomePassword !== undefined && { becomePassword },
  };
}

function hop(method: Exclude<Hop["method"], "ssh" | "local">, argument?: string): string {
  return formatTarget([{ method, argument }]);
}
