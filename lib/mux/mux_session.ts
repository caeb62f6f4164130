/**
 * ssh itself as our client: it asks for a session over a control socket, hands over its standard streams, and waits for
 * the status. What we cannot do is refused; ssh then connects by itself. For `mux_sockets.ts`.
 */
import { drain } from "../client/execute.ts";
import { type RemoteProcess, startProcess } from "../client/remote_process.ts";
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { ExitStatus, TerminalSize } from "../core/host.ts";
import { printable } from "../core/printable.ts";
import type { Router } from "../core/router.ts";
import type { SendStream } from "../core/stream.ts";
import { dial } from "../dropin/dial.ts";
import { EscapeFilter } from "../dropin/escape_filter.ts";
import { passOn } from "../dropin/pass_on.ts";
import {
  KILLED,
  processOptions,
  purposeOf,
  type SessionPurpose,
} from "../dropin/process_options.ts";
import type { Work } from "../dropin/session_plan.ts";
import type { ControlSocket } from "./control_socket.ts";
import { Descriptor, ReaderGone } from "./descriptor.ts";
import {
  alive,
  exit,
  failure,
  hello,
  MuxReader,
  type MuxRequest,
  ok,
  opened,
} from "./mux_packets.ts";
import type { Readiness } from "./readiness.ts";

/** Where a session goes, and what it is there. */
export interface Place {
  /** Whether an agent is forwarded to it. */
  forwardsAgent: boolean;
  /** The context for a purpose; held until the session ends. */
  open(purpose: SessionPurpose, signal: AbortSignal): Promise<number>;
  /** Of the variables that came with the session, the command's. */
  env: Record<string, string>;
  /** The status to end with. */
  statusOf(status: ExitStatus): number;
  /** That when whoever read the output is gone; null: the command is told, as ssh does, and ends as it likes. */
  readerGone: number | null;
  /** What ends a line of ours. */
  lineEnd: "\n" | "\r\n";
}

/** Nothing is to be run: what else was wanted. Returns the status to end with. */
export interface Deed {
  deed(): number;
}

/** What one control socket is for. */
export interface MuxWay {
  router: Router;
  readiness: Readiness;
  /** Where a session goes that brings these variables. Throws with why it cannot be. */
  place(env: Record<string, string>): Place | Deed;
  /** No more sessions of this connection; `now`: those that are under way end, too. */
  end(how: { now: boolean }): void;
  /** Called on every SIGWINCH until the function that it returns is. */
  onResize(listener: () => void): () => void;
  /** Called when a session's command has started. */
  onStart?(process: RemoteProcess): void;
  /** The daemon stops. */
  isStopping(): boolean;
}

type SessionRequest = Extract<MuxRequest, { kind: "session" }>;
type StdioRequest = Extract<MuxRequest, { kind: "stdio" }>;

/** Each control connection has one session at most, so that any number does. */
const SESSION = 1;
/** Of a terminal that does not tell. */
const DEFAULT_SIZE: TerminalSize = { columns: 80, rows: 24 };

/** Serves one connection of ssh's to its end; never rejects. */
export async function serveMux(socket: ControlSocket, way: MuxWay): Promise<void> {
  const gone = new AbortController();
  const reader = new MuxReader();
  let session: Promise<void> | null = null;
  try {
    socket.write(hello());
    /** What waits for its descriptors. */
    let waiting: SessionRequest | StdioRequest | null = null;
    for (let bytes = await socket.read(); bytes !== null; bytes = await socket.read()) {
      reader.add(bytes);
      for (;;) {
        if (waiting) {
          const count = waiting.kind === "session" ? 3 : 2;
          if (socket.descriptors.length < count || !reader.skip(count)) break;
          const streams = streamsOf(socket, { count, way });
          const options = { socket, way, streams, signal: gone.signal };
          session = carryOut(waiting, options);
          waiting = null;
        }
        const request = reader.next();
        if (request === null) break;
        if ((request.kind === "session" || request.kind === "stdio") && !session) waiting = request;
        else answer(request, { socket, way });
      }
    }
  } catch {
    // It makes no sense to us: ssh is told by the end of the connection.
  } finally {
    gone.abort();
    await session;
    socket.close();
  }
}

function answer(
  request: MuxRequest,
  { socket, way }: { socket: ControlSocket; way: MuxWay },
): void {
  switch (request.kind) {
    case "hello":
      return;
    case "alive":
      return socket.write(alive(request.id, Deno.pid));
    case "terminate":
    case "stopListening":
      socket.write(ok(request.id));
      return way.end({ now: request.kind === "terminate" });
    default:
      return socket.write(failure(request.id, "holdfast does not do that over a held connection"));
  }
}

interface Streams {
  stdin: Descriptor;
  stdout: Descriptor;
  stderr: Descriptor | null;
}

function streamsOf(
  { descriptors, peer: owner }: ControlSocket,
  { count, way: { readiness } }: { count: number; way: MuxWay },
): Streams {
  const [stdin, stdout, stderr] = descriptors.splice(0, count);
  const output = { use: "write", readiness, owner } as const;
  return {
    stdin: new Descriptor(stdin, { use: "read", readiness, owner }),
    stdout: new Descriptor(stdout, output),
    stderr: stderr === undefined ? null : new Descriptor(stderr, output),
  };
}

interface CarryOutOptions {
  socket: ControlSocket;
  way: MuxWay;
  streams: Streams;
  /** ssh is gone. */
  signal: AbortSignal;
}

/** Never rejects; the streams are closed then, and the socket, which is how ssh is told that all is said. */
async function carryOut(
  request: SessionRequest | StdioRequest,
  options: CarryOutOptions,
): Promise<void> {
  const { socket, way, streams, signal } = options;
  const close = () => Object.values(streams).forEach((stream) => stream?.close());
  // What is written to a reader that stands still would else never end; with the daemon it does, after a last word.
  const onGone = () => way.isStopping() || close();
  signal.addEventListener("abort", onGone);
  try {
    if (request.kind === "stdio") await joinStdio(request, options);
    else await runSession(request, options);
  } catch (error) {
    socket.write(failure(request.id, printable(toHoldfastError(error).message)));
  } finally {
    signal.removeEventListener("abort", onGone);
    close();
    socket.close();
  }
}

/** Rejects with why there can be none; later failures are the session's own. */
async function runSession(
  request: SessionRequest,
  { socket, way, streams, signal }: CarryOutOptions,
): Promise<void> {
  const { terminal, agent, isSubsystem, command, term } = request;
  if (request.x11) throw new Error("holdfast forwards no X11");
  // Here text is Unicode. By itself ssh carries any bytes.
  if ([command, ...Object.values(request.env)].some((text) => text.includes("\ufffd"))) {
    throw new Error("holdfast takes nothing that is not UTF-8");
  }
  const place = way.place(request.env);
  if ("deed" in place) {
    socket.write(opened(request.id, SESSION));
    return socket.write(exit(SESSION, place.deed()));
  }
  const { env } = place;
  if (agent && !place.forwardsAgent) throw new Error("the held connection forwards no agent");
  const work: Work = isSubsystem
    ? { kind: "subsystem", name: command }
    : command === ""
    ? { kind: "shell" }
    : { kind: "command", line: command };
  const context = await place.open(purposeOf({ work, terminal, agent }), signal);
  if (signal.aborted) return;
  // First: where it does not arrive, ssh does not take it for granted that something runs, and nothing does.
  socket.write(opened(request.id, SESSION));
  const { stdin, stdout, stderr } = streams;
  const size = () => stdin.size() ?? stdout.size() ?? DEFAULT_SIZE;
  const ended = new AbortController();
  const give = () => ended.abort();
  signal.addEventListener("abort", give);
  const process = startProcess(way.router, context, {
    ...processOptions({ work, env, agent, input: true }),
    terminal: terminal ? { ...size(), term: term || "dumb" } : undefined,
    signal: ended.signal,
  });
  way.onStart?.(process);
  const unlisten = terminal ? way.onResize(() => process.resize(size())) : () => {};
  try {
    const escape = terminal ? request.escape : null;
    void typed(process.stdin!, { stdin, stdout, escape, disconnect: give });
    const finish = place.readerGone === null && !terminal ? finishAsSsh : finishAtOnce;
    const status = await finish(process, { stdout, stderr: stderr! });
    socket.write(exit(SESSION, place.statusOf(status)));
  } catch (error) {
    const isLeft = ended.signal.aborted; // by ssh's end, or by ~. which it says itself
    give();
    const isGone = error instanceof ReaderGone;
    const { message } = toHoldfastError(error);
    const why = way.isStopping() ? "the daemon was stopped" : printable(message);
    const text = `holdfast: ${why}${place.lineEnd}`;
    // Who closes our output does not want to hear of it.
    if (way.isStopping() || (!isLeft && !isGone)) {
      await stderr!.write(new TextEncoder().encode(text)).catch(() => {});
    }
    socket.write(exit(SESSION, (isGone ? place.readerGone : null) ?? KILLED));
  } finally {
    signal.removeEventListener("abort", give);
    unlisten();
  }
}

type Outputs = Record<"stdout" | "stderr", Descriptor>;

async function finishAsSsh(process: RemoteProcess, outputs: Outputs): Promise<ExitStatus> {
  const isGone = (error: unknown) => error instanceof ReaderGone;
  const [status] = await Promise.all([process.exit, passOn(process, { ...outputs, isGone })]);
  return status;
}

async function finishAtOnce(
  process: RemoteProcess,
  { stdout, stderr }: Outputs,
): Promise<ExitStatus> {
  const [status] = await Promise.all([
    process.exit,
    drain(process.stdout, stdout),
    drain(process.stderr, stderr),
  ]);
  return status;
}

/** Sends what comes in, up to its end or the session's. On a terminal escapes in it are ours. */
async function typed(
  sink: SendStream,
  { stdin, stdout, escape, disconnect }: {
    stdin: Descriptor;
    stdout: Descriptor;
    escape: string | null;
    disconnect: () => void;
  },
): Promise<void> {
  const filter = escape === null ? null : new EscapeFilter(escape);
  try {
    for (let bytes = await stdin.read(); bytes !== null; bytes = await stdin.read()) {
      for (const part of filter?.read(bytes) ?? [bytes]) {
        if (part instanceof Uint8Array) await sink.write(part);
        else if (part === "disconnect") return disconnect();
        else await stdout.write(new TextEncoder().encode("(not supported)\r\n"));
      }
    }
    await sink.close();
  } catch {
    // The session takes no more; its end is told where its status is.
  }
}

/** `-W`. */
async function joinStdio(
  { id, host, port }: StdioRequest,
  { socket, way, streams: { stdin, stdout }, signal }: CarryOutOptions,
): Promise<void> {
  const place = way.place({});
  if ("deed" in place) throw new Error("there is nothing to connect to");
  const context = await place.open("net", signal);
  if (signal.aborted) return;
  const { outgoing, incoming, connected } = dial({ router: way.router, context }, { host, port });
  const give = () => {
    outgoing.abort(new HoldfastError("cancelled", "ssh is gone"));
    incoming.cancel();
  };
  signal.addEventListener("abort", give);
  try {
    await connected;
    socket.write(opened(id, SESSION));
    void typed(outgoing, { stdin, stdout, escape: null, disconnect: give });
    // Either side may go.
    await drain(incoming, stdout).catch(give);
  } finally {
    signal.removeEventListener("abort", give);
  }
}
