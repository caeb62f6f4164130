/**
 * What a program that runs by `exec --with-ssh` wants of `ssh`, carried out here: nothing but a session with one of the
 * targets that were allowed, made with this client's own options. What came from there is untrusted.
 * For `exec_with_ssh.ts`.
 */
import { type RemoteProcess, startProcess } from "../client/remote_process.ts";
import type { Session, SshOptions } from "../client/session.ts";
import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import type { ByteSource } from "../core/host.ts";
import type { ReceiveStream, SendStream } from "../core/stream.ts";
import { planSession } from "./session_plan.ts";
import { processOptions, statusOf } from "./process_options.ts";
import { parseSshCommandLine } from "./ssh_command_line.ts";
import type { SshRequest } from "./ssh_request.ts";
import { WrongWords } from "./wrong_words.ts";

/** See `parent/inner_ssh.ts`, which is what is at the other end. */
const ASK = { words: 1, input: 2, end: 3 } as const;
const TELL = { output: 1, errors: 2, status: 3 } as const;

/** Bytes of one frame from there. */
const LONGEST = 1024 * 1024;

const FAILED = 255;

export interface InnerOptions {
  session: Session;
  /** TARGETs as the user wrote them. */
  allowed: readonly string[];
  /** How they are reached. */
  ssh: SshOptions;
}

/** Serves one of them until it has ended. */
export async function serveInnerRequest(
  { incoming, outgoing }: { incoming: ReceiveStream; outgoing: SendStream },
  options: InnerOptions,
): Promise<void> {
  const frames = readFrames(incoming);
  const tell = new Teller(outgoing);
  const gone = new AbortController();
  let fed: Promise<void> | undefined;
  let status: number;
  try {
    const { value } = await frames.next();
    const process = await startInner(wordsOf(value), { ...options, signal: gone.signal });
    fed = feed(frames, process.stdin).catch(() => {}).finally(() => gone.abort());
    const [ended] = await Promise.all([
      process.exit,
      tell.copy(TELL.output, process.stdout),
      tell.copy(TELL.errors, process.stderr),
    ]);
    status = statusOf(ended);
  } catch (error) {
    const known = error instanceof HoldfastError || error instanceof WrongWords;
    const text = known ? error.message.split("\n")[0] : "internal error";
    await tell.send(TELL.errors, new TextEncoder().encode(`holdfast: ${text}\r\n`));
    status = FAILED;
  }
  await tell.send(TELL.status, new TextEncoder().encode(String(status)));
  // It hangs up when it has read that, and may have much to do before.
  await (fed ?? feed(frames, null).catch(() => incoming.cancel()));
  await outgoing.close();
  incoming.cancel();
}

interface Frame {
  type: number;
  bytes: Uint8Array;
}

async function startInner(
  words: string[],
  { session, allowed, ssh, signal }: InnerOptions & { signal: AbortSignal },
): Promise<RemoteProcess> {
  const line = parseSshCommandLine(words);
  if (line.kind === "wrong") throw new HoldfastError("usage", line.message || "ssh: wrong words");
  if (line.kind !== "request") throw new HoldfastError("refused", "ssh answers nothing here");
  const target = nameOf(line);
  if (!allowed.includes(target)) {
    const name = printable(target).slice(0, 200);
    throw new HoldfastError("refused", `Cannot reach ${name} from here: it was not allowed`);
  }
  const plan = planSession({ ...line, agent: false, terminal: "no" }, {
    keywords: {},
    onTerminal: false,
    environment: {},
  });
  const possible = plan.work.kind !== "none" && plan.work.kind !== "stdio";
  if (!possible || line.forwards.length > 0 || line.control || plan.background) {
    throw new HoldfastError("refused", "only commands, shells and subsystems can be run from here");
  }
  const { work } = plan;
  const purpose = work.kind !== "subsystem" ? "command" : work.name === "sftp" ? "sftp" : "channel";
  const context = await session.open({ target, ssh, purpose, signal });
  return startProcess(session.router, context, { ...processOptions(plan), signal });
}

/** What was asked for, in TARGET's words. */
function nameOf({ destination, isStack, ssh }: SshRequest): string {
  if (isStack) return destination;
  const user = ssh.user === undefined ? "" : `${ssh.user}@`;
  return `${user}${destination}${ssh.port === undefined ? "" : `:${ssh.port}`}`;
}

function wordsOf(frame: Frame | undefined): string[] {
  try {
    if (frame?.type !== ASK.words) throw new Error();
    const words = JSON.parse(new TextDecoder().decode(frame.bytes));
    if (Array.isArray(words) && words.every((word) => typeof word === "string")) return words;
  } catch {
    // As below.
  }
  throw new HoldfastError("protocol", "Cannot read what ssh was asked for: it makes no sense");
}

/** Resolves when the program at the other end is gone; its standard input may end before. */
async function feed(frames: AsyncGenerator<Frame>, stdin: SendStream | null): Promise<void> {
  for await (const { type, bytes } of frames) {
    if (type === ASK.end) await stdin?.close();
    // A command that takes no more is its own business.
    else if (type === ASK.input) await stdin?.write(bytes).catch(() => {});
  }
}

/** Bounded: one frame at a time. */
async function* readFrames(source: ByteSource): AsyncGenerator<Frame> {
  let held = new Uint8Array(0);
  for (let bytes = await source.read(); bytes; bytes = await source.read()) {
    const all = new Uint8Array(held.length + bytes.length);
    all.set(held);
    all.set(bytes, held.length);
    held = all;
    while (held.length >= 5) {
      const length = new DataView(held.buffer, held.byteOffset).getUint32(1);
      if (length > LONGEST) {
        throw new HoldfastError("limit", "Cannot read what ssh was asked for: it is too long");
      }
      if (held.length < 5 + length) break;
      yield { type: held[0], bytes: held.subarray(5, 5 + length) };
      held = held.subarray(5 + length);
    }
  }
}

/** Sends frames, one after the other. */
class Teller {
  readonly #outgoing: SendStream;
  #last: Promise<void> = Promise.resolve();

  constructor(outgoing: SendStream) {
    this.#outgoing = outgoing;
  }

  send(type: number, bytes: Uint8Array): Promise<void> {
    const frame = new Uint8Array(5 + bytes.length);
    frame[0] = type;
    new DataView(frame.buffer).setUint32(1, bytes.length);
    frame.set(bytes, 5);
    return this.#last = this.#last.then(() => this.#outgoing.write(frame));
  }

  async copy(type: number, source: ByteSource): Promise<void> {
    for (let bytes = await source.read(); bytes; bytes = await source.read()) {
      await this.send(type, bytes);
    }
  }
}
