/**
 * The connection method `openssh`: a host reached by the system's ssh, for certificates, FIDO keys, GSSAPI and whatever
 * else ssh2 cannot do. OpenSSH's client connects, checks the host, authenticates and encrypts, as a private master
 * (`openssh_master.ts`); commands, files and dials are channels that ssh2 opens through it (`mux_proxy.ts`,
 * `plain_ssh2.ts`). So there is one process and one login for each connection, and no process for each command.
 */

import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import { GUARD_ENVIRONMENT } from "../rendezvous/ssh_config_guard.ts";
import { untilAborted } from "../core/until_aborted.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Ask } from "./ask.ts";
import { connectionEndpoint } from "./connection_endpoint.ts";
import { FifoWay } from "./fifo_way.ts";
import { openMuxProxy } from "./mux_proxy.ts";
import { opensshArguments } from "./openssh_arguments.ts";
import { OpensshMaster } from "./openssh_master.ts";
import { type AskpassQuestion, questionFor } from "./openssh_question.ts";
import { OpensshTalk } from "./openssh_talk.ts";
import { PHASE_DEADLINES, PhaseClock, tookTooLong } from "./phase_clock.ts";
import { plainSsh2 } from "./plain_ssh2.ts";
import { type Log, SshConnection } from "./ssh_connection.ts";
import type { SshSettings } from "./ssh_settings.ts";
import { describe, type SshSocket } from "./ssh_socket.ts";
import { type Jump, splitJumps } from "./ssh_way.ts";

/** Bytes of a control socket's path: ssh makes it under a name that is 17 longer, and macOS takes 103. */
const LONGEST_CONTROL_PATH = Deno.build.os === "linux" ? 90 : 86;
/** Milliseconds that a jump host may take for all of its phases. */
const JUMP_DEADLINE = Object.values(PHASE_DEADLINES).reduce((sum, each) => sum + each);

/** Milliseconds for a signature: somebody may have to touch a key, or to allow an agent; sshd's own LoginGraceTime. */
const SIGNING_DEADLINE = 120_000;

/** Lends ssh a program that asks `answer`; see `daemon/askpass_desk.ts`. */
export type LendAskpass = (
  answer: (question: AskpassQuestion, signal: AbortSignal) => Promise<string | null>,
) => Promise<{ env: Record<string, string>; close(): void }>;

export interface OpensshOptions {
  /** ssh's absolute path. */
  program: string;
  /** A directory that only this user can enter, for the control socket. */
  directory: string;
  /** Asks the person who caused the connection; their thinking does not count against a deadline. */
  ask: Ask;
  askpass: LendAskpass;
  /** Aborting fails the attempt with kind `cancelled`; a finished connection is not affected. */
  signal?: AbortSignal;
  log?: Log;
  /** Go through this connection, whatever ssh_config says; it stays the caller's. */
  via?: Jump;
}

/** Connects and authenticates. Rejects with the kind of the phase that failed, and ssh's own words. */
export async function opensshEndpoint(
  settings: SshSettings,
  options: OpensshOptions,
): Promise<Endpoint> {
  return connectionEndpoint(await connectOpenssh(settings, options));
}

async function connectOpenssh(
  settings: SshSettings,
  options: OpensshOptions,
): Promise<SshConnection> {
  const { program, via, log } = options;
  const description = describe(settings);
  const controlPath = newControlPath(options.directory);
  const attempt = new AbortController();
  const { signal } = attempt;
  const clock = new PhaseClock((phase) => attempt.abort(tookTooLong(phase, description)));
  const cancel = () =>
    attempt.abort(new HoldfastError("cancelled", `Gave up connecting to ${description}`));
  if (options.signal?.aborted) cancel();
  options.signal?.addEventListener("abort", cancel);
  const talk = new OpensshTalk({
    description,
    onPhase: (phase) =>
      clock.enter(phase, phase === "connect" ? connectDeadline(settings) : undefined),
    onSigning: () => clock.enter("authenticate", SIGNING_DEADLINE),
    log: log && ((level, text) => log(level, `${description}: ${text}`)),
  });
  // What is made here is given up in the opposite order.
  await using made = new AsyncDisposableStack();
  try {
    signal.throwIfAborted();
    clock.enter("connect", connectDeadline(settings));
    const fifo = via && made.use(await fifoThrough(via, settings, { controlPath, signal }));
    const questions = await options.askpass(answerer(settings, { options, clock, signal }));
    made.defer(() => questions.close());
    const words = opensshArguments(settings, { controlPath, proxyCommand: fifo?.command });
    const { env, cwd } = settings.request;
    const master = new OpensshMaster({
      words: [program, ...words],
      controlPath,
      env: { ...env, ...questions.env, ...GUARD_ENVIRONMENT },
      cwd,
      talk,
    });
    made.defer(() => master.end());
    if (!await untilAborted(master.ready, signal)) throw talk.failure();
    const socket = await openMuxProxy(controlPath, signal);
    made.defer(() => void socket.destroy());
    questions.close();
    const client = plainSsh2(socket, { software: talk.software });
    const kept = made.move();
    const way: SshSocket = {
      stream: socket,
      complaint: () => talk.lastWord(),
      dispose: () => kept.disposeAsync(),
    };
    return new SshConnection(client, { way, description, settings });
  } catch (error) {
    attempt.abort(error); // withdraws what is still being asked
    throw error;
  } finally {
    clock.stop();
    options.signal?.removeEventListener("abort", cancel);
  }
}

function newControlPath(directory: string): string {
  const path = `${directory}/m${crypto.randomUUID().slice(0, 8)}`;
  if (new TextEncoder().encode(path).length <= LONGEST_CONTROL_PATH) return path;
  throw new HoldfastError(
    "usage",
    `Cannot use "${printable(directory)}" for OpenSSH's control socket: its path is too long; ` +
      "set HOLDFAST_DIR to a shorter directory",
  );
}

/** ssh itself heeds ConnectTimeout; a ProxyCommand may have jump hosts behind it, whose phases we do not see. */
function connectDeadline({ connectTimeout, proxyJump, proxyCommand }: SshSettings): number {
  const own = PHASE_DEADLINES.resolve + (connectTimeout ?? PHASE_DEADLINES.connect);
  if (proxyJump === null) return proxyCommand === null ? own : own + JUMP_DEADLINE;
  return own + JUMP_DEADLINE * jumpsIn(proxyJump);
}

function jumpsIn(proxyJump: string): number {
  const { before } = splitJumps(proxyJump);
  return before === "" ? 1 : 1 + jumpsIn(before);
}

async function fifoThrough(
  via: Jump,
  settings: SshSettings,
  { controlPath, signal }: { controlPath: string; signal: AbortSignal },
): Promise<FifoWay> {
  const dialing = via.dial(settings.hostname, settings.port);
  const { stream } = await untilAborted(dialing, signal).catch((error) => {
    dialing.then((late) => late.close(), () => {});
    if (error === signal.reason) throw error;
    const reason = error instanceof HoldfastError ? error.message : printable(String(error));
    throw new HoldfastError(
      "connect",
      `Cannot connect to ${describe(settings)} through ${via.description}: ${reason}`,
      { cause: error },
    );
  });
  return await FifoWay.open(controlPath, stream);
}

/** Answers what ssh asks: with the password that is known, once; else by asking the person. */
function answerer(
  settings: SshSettings,
  { options, clock, signal }: { options: OpensshOptions; clock: PhaseClock; signal: AbortSignal },
) {
  let { password } = settings;
  return async (asked: AskpassQuestion, withdrawn: AbortSignal): Promise<string | null> => {
    const { question, isForPassword } = questionFor(settings, asked);
    if (isForPassword && password !== undefined) {
      const answer = password;
      password = undefined;
      return answer;
    }
    clock.pause();
    try {
      return await options.ask(question, { signal: AbortSignal.any([signal, withdrawn]) });
    } finally {
      clock.resume();
    }
  };
}
