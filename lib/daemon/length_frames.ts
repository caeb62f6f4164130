/**
 * The first ansible-connection's protocol on the daemon's socket, for clients in any language: an 8-byte
 * big-endian length, then that many bytes. Every question is one frame, every answer three: status in decimal,
 * stdout, stderr. The first question is an init block with the field `cookie`, the others are actions.
 */
import { ActionRunner, type ActionSession } from "../client/action_runner.ts";
import { parseInitBlock, readDestination } from "../client/init_block.ts";
import { type Result, resultStatus } from "../client/result_line.ts";
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { Transport } from "../core/host.ts";
import { printable } from "../core/printable.ts";
import { type Action, parseAction } from "../rendezvous/action.ts";

/** Bytes before each frame that tell its length. */
const HEADER_SIZE = 8;
/** Bytes that one question may have; the output in an answer is bounded by `CAPTURE_LIMIT`. */
export const MAX_QUESTION: number = 1024 * 1024;

export interface LengthFrameOptions {
  /** Compares in constant time; called once, before anything else of the init block is looked at. */
  authenticate: (cookie: string) => boolean;
  /** The daemon as its own client. */
  connect: () => Promise<ActionSession>;
}

/**
 * Serves one connection to its end.
 *
 * - Questions may be sent ahead: they are answered in order, one at a time.
 * - A client that goes away, or only closes its sending side, gives up the action under way.
 * - Rejects on garbage and half a frame; the caller closes the transport.
 */
export async function serveLengthFrames(
  transport: Transport,
  options: LengthFrameOptions,
): Promise<void> {
  const reader = new QuestionReader(transport);
  const gone = new AbortController();
  const ended = new HoldfastError(
    "cancelled",
    "the client closed its side before it had the answer",
  );
  let question = await reader.next();
  if (question === null) return;
  await using session = new FrameSession({ ...options, signal: gone.signal });
  let answer = session.begin(question);
  while (question !== null) {
    // The next question is awaited meanwhile, because that is how the end of the client shows.
    const next = reader.next();
    next.then((bytes) => bytes ?? gone.abort(ended), (error) => gone.abort(error));
    for (const frame of encodeAnswer(await answer)) await transport.write(frame);
    if (session.isRefused) return;
    question = await next;
    if (question !== null) answer = session.answer(question);
  }
}

interface Answer {
  status: number;
  stdout: Uint8Array;
  stderr: Uint8Array;
}

/** One client: what it asks, carried out. Nothing here rejects: what fails is an answer. */
class FrameSession implements AsyncDisposable {
  /** After an init block that is not accepted nothing more is answered. */
  isRefused = false;
  readonly #options: LengthFrameOptions & { signal: AbortSignal };
  #runner: ActionRunner | null = null;
  /** Where relative local paths begin; null: they are refused. */
  #directory: string | null = null;
  #warnings: string[] = [];

  constructor(options: LengthFrameOptions & { signal: AbortSignal }) {
    this.#options = options;
  }

  /** Reads the init block and reaches the target. A target out of reach is tried again by every action. */
  async begin(question: Uint8Array): Promise<Answer> {
    try {
      this.#runner = this.#makeRunner(decode(question));
    } catch (error) {
      this.isRefused = true;
      return this.#failure(error);
    }
    try {
      await this.#runner.prepare();
      return this.#success({ status: null, error: null });
    } catch (error) {
      return this.#failure(error);
    }
  }

  async answer(question: Uint8Array): Promise<Answer> {
    try {
      const action = this.#localize(readAction(question));
      return this.#success(await this.#runner!.run(action));
    } catch (error) {
      return this.#failure(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runner?.[Symbol.asyncDispose]();
  }

  #makeRunner(block: string): ActionRunner {
    const { cookie, cwd, ...fields } = parseInitBlock(block);
    const { authenticate, connect, signal } = this.#options;
    if (!authenticate(typeof cookie === "string" ? cookie : "")) {
      throw new HoldfastError(
        "refused",
        'Cannot authenticate: the init block\'s "cookie" is not the content of the file cookie in the runtime directory',
      );
    }
    if (typeof cwd === "string" && cwd.startsWith("/")) this.#directory = cwd;
    else if (cwd !== undefined) {
      throw new HoldfastError("usage", 'Cannot read init block: "cwd" is not an absolute path');
    }
    const onWarning = (text: string) => void this.#warnings.push(text);
    const onIgnored = (names: string[]) =>
      onWarning(`ignored in the init block: ${names.slice(0, 50).join(", ")}`);
    const destination = readDestination(fields, { onIgnored });
    return new ActionRunner(destination, { connect, collect: true, onWarning, signal });
  }

  /** The daemon's own working directory means nothing to a client. */
  #localize(action: Action): Action {
    if (action.type === "exec") return action;
    const side = action.type === "put" ? "source" : "destination";
    const path = action[side];
    if (path.startsWith("/")) return action;
    if (this.#directory !== null) return { ...action, [side]: `${this.#directory}/${path}` };
    throw new HoldfastError(
      "usage",
      'Cannot carry out the action: its local path is relative; write an absolute one, or give "cwd" in the init block',
    );
  }

  #success(result: Result): Answer {
    const nothing = new Uint8Array(0);
    const { stdout, stderr } = "stdout" in result ? result : { stdout: nothing, stderr: nothing };
    if (result.error) this.#warnings.push(result.error.message);
    const lines = this.#warnings.splice(0).map((text) => `holdfast: ${text}\n`).join("");
    const own = new TextEncoder().encode(printable(lines, { multiline: true }));
    return { status: resultStatus(result), stdout, stderr: concatenate(stderr, own) };
  }

  #failure(error: unknown): Answer {
    return this.#success({ status: null, error: toHoldfastError(error) });
  }
}

function readAction(question: Uint8Array): Action {
  const text = decode(question);
  try {
    return parseAction(text);
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    throw new HoldfastError(error.kind, `Cannot carry out the action: ${error.message}`);
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new HoldfastError("usage", "Cannot read frame: it is not UTF-8");
  }
}

function encodeAnswer({ status, stdout, stderr }: Answer): Uint8Array[] {
  return [new TextEncoder().encode(String(status)), stdout, stderr].flatMap((bytes) => {
    const header = new Uint8Array(HEADER_SIZE);
    new DataView(header.buffer).setBigUint64(0, BigInt(bytes.length));
    return [header, bytes];
  });
}

/** Cuts what arrives into questions; holds at most one, and what came with its end. */
class QuestionReader {
  readonly #transport: Transport;
  #buffer: Uint8Array = new Uint8Array(0);

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * The next question, or null when the client has ended between two.
   *
   * @throws {HoldfastError} `protocol` for half a frame, `limit` for one over the limit
   */
  async next(): Promise<Uint8Array | null> {
    const header = await this.#take(HEADER_SIZE);
    if (header === null) return null;
    const size = new DataView(header.buffer, header.byteOffset).getBigUint64(0);
    if (size > MAX_QUESTION) {
      throw new HoldfastError(
        "limit",
        `Cannot read frame: its length is ${size} bytes, and ${MAX_QUESTION} is the most`,
      );
    }
    const question = await this.#take(Number(size));
    if (question === null) throw halfFrame();
    return question;
  }

  /** Exactly `size` bytes; null when the client ended before the first of them. */
  async #take(size: number): Promise<Uint8Array | null> {
    const parts = [this.#buffer];
    let held = this.#buffer.length;
    while (held < size) {
      const bytes = await this.#transport.read();
      if (bytes === null && held > 0) throw halfFrame();
      if (bytes === null) return null;
      parts.push(bytes);
      held += bytes.length;
    }
    const all = concatenate(...parts);
    this.#buffer = all.subarray(size);
    return all.subarray(0, size);
  }
}

function halfFrame(): HoldfastError {
  return new HoldfastError("protocol", "Cannot read frame: the client ended inside it");
}

function concatenate(...parts: Uint8Array[]): Uint8Array {
  const filled = parts.filter(({ length }) => length > 0);
  if (filled.length === 1) return filled[0];
  const all = new Uint8Array(filled.reduce((size, { length }) => size + length, 0));
  let at = 0;
  for (const part of filled) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
