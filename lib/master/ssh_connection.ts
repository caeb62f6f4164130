/**
 * One authenticated SSH connection: commands, SFTP and forwarded dials over ssh2. The daemon's links and
 * the direct targets run over it.
 */

import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import type { Ask, Question } from "./ask.ts";
import { Authentication } from "./authentication.ts";
import { HostKeyCheck } from "./host_key_check.ts";
import { matchesPattern } from "./known_hosts.ts";
import { PHASE_DEADLINES, PhaseClock, tookTooLong } from "./phase_clock.ts";
import { Client, type ClientChannel, type SFTPWrapper, type Ssh2Client } from "./ssh2.ts";
import { offeredAlgorithms, ssh2Algorithms } from "./ssh_algorithms.ts";
import { closeRefusedChannels } from "./refused_channels.ts";
import { SshChild } from "./ssh_child.ts";
import { resolveSsh, type SshContext } from "./ssh_config.ts";
import { type SessionKind, type SessionOptions, startSession } from "./ssh_session.ts";
import type { SshOptions, SshSettings } from "./ssh_settings.ts";
import { describe, type SshSocket } from "./ssh_socket.ts";
import { deferredDuplex, StreamTransport } from "./ssh_streams.ts";
import { type Jump, type JumpSpec, openWay } from "./ssh_way.ts";

export { PHASE_DEADLINES };
export type { Ask };

export type Log = (level: "debug" | "info" | "warn" | "error", text: string) => void;

export interface ConnectSshOptions {
  /** Asks the person who caused the connection; their thinking does not count against a deadline. */
  ask: Ask;
  /** Aborting fails the attempt with kind `cancelled`; a finished connection is not affected. */
  signal?: AbortSignal;
  /** The asking client's SSH_AUTH_SOCK. */
  agentSocket?: string;
  log?: Log;
  /** Go through this connection instead of resolving a way; it stays the caller's. */
  via?: Jump;
  /** Resolves jump hosts; {@linkcode resolveSsh} when absent. */
  resolve?: (host: string, options: SshOptions, context: SshContext) => Promise<SshSettings>;
}

/** What {@linkcode connectSsh} hands down from target to jump host. */
interface Journey extends ConnectSshOptions {
  /** Descriptions of the hosts that wait for this connection. */
  waiting?: readonly string[];
}

/** Dead peers are found after `interval * (misses + 1)` milliseconds without a byte from them. */
const KEEPALIVE = { interval: 2_000, misses: 3 };
/** Milliseconds a host may take to say good-bye. */
const CLOSE_GRACE = 1_000;

/**
 * Connects and authenticates. Fails with the kind of the phase that failed (`resolve`, `connect`, `kex`, `host_key`,
 * `auth`), with `timeout` when a phase of {@linkcode PHASE_DEADLINES} took too long, and with `cancelled`.
 */
export async function connectSsh(
  settings: SshSettings,
  options: ConnectSshOptions,
): Promise<SshConnection> {
  const description = describe(settings);
  const attempt = new AbortController();
  const clock = new PhaseClock((phase) => attempt.abort(tookTooLong(phase, description)));
  const cancel = () => {
    attempt.abort(new HoldfastError("cancelled", `Gave up connecting to ${description}`));
  };
  if (options.signal?.aborted) cancel();
  options.signal?.addEventListener("abort", cancel);
  let way: SshSocket | null = null;
  try {
    const offer = offeredAlgorithms(settings);
    way = await openWay(settings, {
      clock,
      signal: attempt.signal,
      via: options.via,
      jump: (spec, before) =>
        connectJump(settings, { ...options, signal: attempt.signal }, { spec, before }),
    });
    return await shakeHands(settings, { way, offer, clock, options, signal: attempt.signal });
  } catch (error) {
    attempt.abort(error);
    way?.dispose();
    throw error;
  } finally {
    clock.stop();
    options.signal?.removeEventListener("abort", cancel);
  }
}

async function connectJump(
  target: SshSettings,
  options: Journey,
  { spec, before }: { spec: JumpSpec; before: string },
): Promise<SshConnection> {
  const { request } = target;
  const waiting = [...options.waiting ?? [], identify(target)];
  const settings = await (options.resolve ?? resolveSsh)(spec.host, {
    configFile: request.options.configFile,
    user: spec.user,
    port: spec.port,
    jump: before === "" ? undefined : before,
  }, { env: request.env, cwd: request.cwd, signal: options.signal });
  if (waiting.includes(identify(settings))) {
    throw new HoldfastError(
      "resolve",
      `Cannot resolve ${describe(target)}: its jump hosts form a circle through ${
        describe(settings)
      }\n` +
        'Give the jump host "ProxyJump none" in ssh_config',
    );
  }
  const journey: Journey = { ...options, via: undefined, waiting };
  return await connectSsh(settings, journey);
}

function identify(settings: SshSettings): string {
  return `${settings.host} ${describe(settings)}`;
}

interface Handshake {
  way: SshSocket;
  offer: ReturnType<typeof offeredAlgorithms>;
  clock: PhaseClock;
  options: ConnectSshOptions;
  signal: AbortSignal;
}

async function shakeHands(settings: SshSettings, handshake: Handshake): Promise<SshConnection> {
  const { way, offer, clock, options, signal } = handshake;
  const { log } = options;
  const description = describe(settings);
  clock.enter("kex");
  const unhurried = async <T>(work: () => Promise<T>): Promise<T> => {
    clock.pause();
    try {
      return await work();
    } finally {
      clock.resume();
    }
  };
  const ask: Ask = (question: Question, how) => unhurried(() => options.ask(question, how));
  const hostKey = await HostKeyCheck.load(settings, { ask, description, signal, log });
  const client = new Client();
  try {
    return await new Promise((resolve, reject) => {
      let refusal: unknown;
      const authentication = new Authentication(settings, {
        ask,
        description,
        agentSocket: options.agentSocket,
        signal,
        unhurried: (work) => unhurried(() => work),
        log,
        failed: reject,
      });
      const broke = (reason: string) => {
        if (refusal !== undefined) reject(refusal);
        else if (clock.phase === "authenticate") reject(authentication.failure(reason));
        else reject(kexFailed(description, { reason, complaint: way.complaint() }));
      };
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      client.once("handshake", () => clock.enter("authenticate"));
      client.on("banner", (text) => log?.("info", `${description}: ${printable(text.trim())}`));
      client.on("change password", () => broke("the password has expired: change it on the host"));
      client.on("error", (error: Error & { level?: string }) => {
        // ssh2 reports a key that could not sign and goes on to the next one by itself
        const harmless = error.level === "agent" || error.level === "client-authentication";
        if (harmless) log?.("debug", `${description}: ${printable(error.message)}`);
        else broke(error.message);
      });
      client.on("end", () => broke("the host closed the connection"));
      client.on("close", () => broke("the connection broke"));
      client.once("ready", () => {
        client.removeAllListeners();
        resolve(new SshConnection(client, { way, description, settings }));
      });
      offer.serverHostKey = hostKey.prefer(offer.serverHostKey);
      client.connect({
        sock: way.stream,
        username: settings.user,
        algorithms: ssh2Algorithms(offer),
        authHandler: authentication.handler,
        hostVerifier: (key: Uint8Array, verify: (valid: boolean) => void) => {
          // ssh2 loses its way when an answer comes while it computes, and Deno may run microtasks there:
          // so an answer comes either at once or from the event loop.
          if (hostKey.isKnown(key)) return verify(true);
          hostKey.check(key).then(({ passwords }) => {
            if (!passwords) authentication.forbidPasswords();
            setTimeout(verify, 0, true);
          }, (error) => {
            refusal = error;
            setTimeout(verify, 0, false);
          });
        },
        keepaliveInterval: KEEPALIVE.interval,
        keepaliveCountMax: KEEPALIVE.misses,
        readyTimeout: 0, // the clock has it
        agent: options.agentSocket, // for forwarding only; `authHandler` says who signs
      });
    });
  } catch (error) {
    client.removeAllListeners();
    client.on("error", () => {}); // a late word of a connection that is given up
    client.end();
    throw error;
  }
}

/** `complaint` is what a ProxyCommand said; then it is to blame, and there was no connection. */
function kexFailed(
  description: string,
  { reason, complaint }: { reason: string; complaint: string },
): HoldfastError {
  if (complaint !== "") {
    const text = `Cannot connect to ${description}: its ProxyCommand failed: ${complaint}\n` +
      "Try the ProxyCommand by hand";
    return new HoldfastError("connect", text);
  }
  return new HoldfastError(
    "kex",
    `Cannot exchange keys with ${description}: ${printable(reason)}\n` +
      "Check that an SSH server listens on this port and that it takes new connections",
  );
}

/**
 * - `close` is idempotent and ends every channel.
 * - `closed` resolves exactly once, when all below is gone: with null when we closed it, else with the reason.
 */
export class SshConnection {
  /** `user@host:port` */
  readonly description: string;
  readonly closed: Promise<HoldfastError | null>;
  /** Resolves before that, and before any command is told: when nothing more can be started over it. */
  readonly lost: Promise<HoldfastError | null>;
  #client: Ssh2Client;
  #way: SshSocket;
  #environment: Record<string, string>;
  #children = new Set<SshChild>();
  #ended: HoldfastError | null | undefined;
  #finish!: (reason: HoldfastError | null) => void;
  #onLost!: (reason: HoldfastError | null) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Takes over an authenticated client and the way below it. */
  constructor(
    client: Ssh2Client,
    options: { way: SshSocket; description: string; settings: SshSettings },
  ) {
    this.description = options.description;
    this.#client = client;
    this.#way = options.way;
    this.#environment = environmentFor(options.settings);
    this.closed = new Promise((resolve) => this.#finish = resolve);
    this.lost = new Promise((resolve) => this.#onLost = resolve);
    client.on("error", (error: Error & { level?: string }) => {
      const silent = error.level === "client-timeout";
      this.#end(this.#lost(silent ? "it stopped answering" : error.message));
    });
    client.on("end", () => this.#end(this.#lost("the host ended the connection")));
    client.on("close", () => {
      this.#end(this.#lost("the connection broke"));
      this.#release();
    });
    heedTraffic(client, this.#way.stream);
  }

  /** Starts a session; a line of text is a command for the login shell of the host. */
  async exec(kind: SessionKind, { env, ...options }: SessionOptions = {}): Promise<SshChild> {
    return await this.#open<SshChild>("run a command", (done) => {
      startSession(this.#client, kind, {
        ...options,
        env: { ...this.#environment, ...env },
        done: (error, channel) => {
          if (error) done(error);
          else done(undefined, this.#adopt(channel)); // at once: the exit status may be in the same packet
        },
      });
    });
  }

  /** Opens the SFTP subsystem on a session of its own. */
  sftp(): Promise<SFTPWrapper> {
    return this.#open<SFTPWrapper>("open SFTP", (done) => this.#client.sftp(done));
  }

  /** A connection from the host to `host:port` (direct-tcpip), for ProxyJump. */
  async dial(host: string, port: number): Promise<StreamTransport> {
    const action = `connect to ${printable(host)}:${port}`;
    const channel = await this.#open<ClientChannel>(
      action,
      (done) => this.#client.forwardOut("127.0.0.1", 0, host, port, done),
      "connect",
    );
    return new StreamTransport(deferredDuplex(channel));
  }

  close(): void {
    this.#end(null);
  }

  #adopt(channel: ClientChannel): SshChild {
    const { description } = this;
    const child = new SshChild(channel, { socket: this.#way.stream, description });
    this.#children.add(child);
    child.exit.catch(() => {}).finally(() => this.#children.delete(child));
    return child;
  }

  #end(reason: HoldfastError | null): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    this.#onLost(reason);
    const error = reason ?? this.#gone();
    for (const child of this.#children) child.lose(error);
    this.#client.end(); // says good-bye where that is still possible
    if (reason !== null) this.#way.stream.destroy();
    this.#timer = setTimeout(() => this.#release(), CLOSE_GRACE);
  }

  #release(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#way.dispose().finally(() => this.#finish(this.#ended ?? null));
  }

  #gone(): HoldfastError {
    return new HoldfastError("disconnected", `Closed the connection to ${this.description}`);
  }

  #lost(text: string): HoldfastError {
    return new HoldfastError("disconnected", `Lost ${this.description}: ${printable(text)}`);
  }

  #open<T>(
    action: string,
    start: (done: (error: Error | undefined, result?: T) => void) => void,
    kind: "limit" | "connect" = "limit",
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error & { reason?: unknown }) => {
        if (this.#ended !== undefined) return reject(this.#ended ?? this.#gone());
        const refusedBy = error.reason === undefined ? "refused" : kind;
        const hint = refusedBy === "limit" ? " (too many sessions: see sshd's MaxSessions)" : "";
        const text = `Cannot ${action} on ${this.description}: ${printable(error.message)}${hint}`;
        reject(new HoldfastError(refusedBy, text, { cause: error }));
      };
      try {
        start((error, result) => {
          if (!error) resolve(result!);
          else void closeRefusedChannels(this.#client).then(() => fail(error));
        });
      } catch (error) {
        fail(error as Error);
      }
    });
  }
}

/** What ssh would send for SendEnv and SetEnv. */
function environmentFor(settings: SshSettings): Record<string, string> {
  const sent = Object.entries(settings.request.env).filter(([name]) =>
    settings.sendEnv.some((pattern) => matchesPattern(pattern, name))
  );
  return { ...Object.fromEntries(sent), ...settings.setEnv };
}

/**
 * ssh2 counts only answers to its own pings as signs of life, and a ping waits behind whatever is queued.
 * Any byte that arrives, and any queue that drains, is a sign as well.
 */
function heedTraffic(client: Ssh2Client, stream: SshSocket["stream"]): void {
  const { _resetKA: reset } = client as unknown as { _resetKA?: () => void };
  if (reset === undefined) return;
  let last = 0;
  const alive = () => {
    const now = performance.now();
    if (now - last < KEEPALIVE.interval / 4) return;
    last = now;
    reset();
  };
  stream.on("data", alive);
  stream.on("drain", alive);
}
