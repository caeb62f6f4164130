/**
 * The relay behind `holdfast client`: carries out actions, one a line, in one context. It connects at the first
 * action, and again at the next one after the connection was lost.
 */
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { ByteSource } from "../core/host.ts";
import { printable } from "../core/printable.ts";
import { type Action, parseAction } from "../rendezvous/action.ts";
import { capture } from "./capture.ts";
import { drain } from "./execute.ts";
import {
  type Destination,
  END_OF_INIT,
  MAX_INIT_BLOCK,
  parseInitBlock,
  readDestination,
} from "./init_block.ts";
import { LineReader } from "./line_reader.ts";
import { startProcess } from "./remote_process.ts";
import { printResult, type Result, resultStatus } from "./result_line.ts";
import { connectDaemon, type Session, type SshOptions } from "./session.ts";
import { fetchFiles, putFiles } from "./transfer.ts";

export interface RelayOptions {
  /** Where the actions, and before them the init block, come from. */
  input: ByteSource;
  /** Absent: the init block says it. */
  target?: string;
  /** ssh's options of the command line. */
  ssh: SshOptions;
  /** Goes on after an action that failed. */
  keepGoing: boolean;
  /** Answers with one JSON line per action instead of its output. */
  json: boolean;
  /** Gives up what is under way; `relay` then rejects with its reason. */
  signal: AbortSignal;
}

/** Bytes of one line. */
const MAX_LINE = 1024 * 1024;

/**
 * Carries out all actions and resolves with the last status.
 *
 * - In order: an action starts when the one before it has ended, and what follows one that failed is not begun.
 * - Rejects only when nothing was begun (`usage`: the init block), when aborted, or when our own output is closed.
 */
export async function relay(options: RelayOptions): Promise<number> {
  const { keepGoing, json, signal } = options;
  const lines = new LineReader(options.input, { limit: MAX_LINE });
  const { destination, first } = await begin(lines, options);
  await using runner = new Runner(destination, { json, signal });
  let status = 0;
  let pending = first;
  while (status === 0 || keepGoing) {
    let result: Result;
    try {
      const line = pending ?? await lines.next();
      pending = null;
      if (line === null) break;
      if (line.trim() === "") continue;
      result = await runner.run(parseAction(line));
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof HoldfastError)) throw error;
      const text = error.kind === "usage" ? `line ${lines.count}: ${error.message}` : error.message;
      result = { status: null, error: new HoldfastError(error.kind, text, { cause: error }) };
    }
    status = resultStatus(result);
    if (json) await printResult(result);
    else if (result.error) complain(result.error.message);
  }
  signal.throwIfAborted();
  return status;
}

/** Reads up to the first line that belongs to the actions. */
async function begin(
  lines: LineReader,
  { target, ssh }: RelayOptions,
): Promise<{ destination: Destination; first: string | null }> {
  let line = await nextOfInit(lines);
  while (line?.trim() === "") line = await nextOfInit(lines);
  if (line === null || !line.trimStart().startsWith("{")) {
    if (target !== undefined) return { destination: readDestination({}, { target, ssh }), first: line };
    const found = line === null ? "it is empty" : "it does not begin with {";
    throw new HoldfastError(
      "usage",
      `Cannot read init block from standard input: ${found}; send one, or name a TARGET`,
    );
  }
  const block: string[] = [];
  let size = 0;
  for (; line?.trim() !== END_OF_INIT; line = await nextOfInit(lines)) {
    if (line === null) {
      throw new HoldfastError(
        "usage",
        `Cannot read init block: it is not ended by a line ${END_OF_INIT}`,
      );
    }
    size += line.length + 1;
    if (size > MAX_INIT_BLOCK) throw oversized();
    block.push(line);
  }
  const onIgnored = (names: string[]) =>
    complain(`ignored in the init block: ${names.slice(0, 50).join(", ")}`);
  const fields = parseInitBlock(block.join("\n"));
  return { destination: readDestination(fields, { target, ssh, onIgnored }), first: null };
}

async function nextOfInit(lines: LineReader): Promise<string | null> {
  try {
    return await lines.next();
  } catch (error) {
    if (error instanceof HoldfastError && /bytes long/.test(error.message)) throw oversized();
    throw error;
  }
}

function oversized(): HoldfastError {
  return new HoldfastError(
    "usage",
    `Cannot read init block: it is larger than ${MAX_INIT_BLOCK} bytes`,
  );
}

function complain(text: string): void {
  console.error(printable(`holdfast: ${text}`, { multiline: true }));
}

/** Carries out single actions over one session. */
class Runner implements AsyncDisposable {
  readonly #destination: Destination;
  readonly #options: { json: boolean; signal: AbortSignal };
  #session: Session | null = null;
  /** The context to use; null when it has to be asked for. */
  #context: number | null = null;
  #opened = false;

  constructor(destination: Destination, options: { json: boolean; signal: AbortSignal }) {
    this.#destination = destination;
    this.#options = options;
  }

  /** Rejects with what is not the action's own failure only when aborted, or when our own output is closed. */
  async run(action: Action): Promise<Result> {
    const { json, signal } = this.#options;
    try {
      const { router, context } = await this.#open(action.type === "exec" ? "command" : "files");
      if (action.type === "exec") {
        const options = { command: action.command, input: false, signal };
        if (!json) return await passThrough({ router, context }, options);
        const captured = await capture(router, context, options);
        if (captured.error) await this.#forget(captured.error);
        return captured;
      }
      const { source, destination } = action;
      const options = { sources: [source], destination, signal, onSkip };
      if (action.type === "put") await putFiles(router, context, options);
      else await fetchFiles(router, context, options);
      return { status: null, error: null };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Deno.errors.BrokenPipe) throw error;
      const reason = toHoldfastError(error);
      await this.#forget(reason);
      return { status: null, error: reason };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session?.close();
    this.#session = null;
  }

  /**
   * The first action may get a context that is there at once, while the core starts behind it; the second one
   * asks again, and what it gets is kept.
   */
  async #open(purpose: "command" | "files"): Promise<{ router: Session["router"]; context: number }> {
    const { signal } = this.#options;
    this.#session ??= await connectDaemon();
    const { router } = this.#session;
    if (this.#context !== null) return { router, context: this.#context };
    const context = await this.#session.open({ ...this.#destination, purpose, signal });
    if (this.#opened) this.#context = context;
    this.#opened = true;
    return { router, context };
  }

  /** After a failure: whatever leads nowhere any more is opened anew by the next action. */
  async #forget(reason: HoldfastError): Promise<void> {
    this.#context = null;
    if (reason.kind !== "disconnected" && reason.kind !== "no_route") return;
    this.#opened = false;
    await this[Symbol.asyncDispose]();
  }
}

function onSkip(path: string): void {
  complain(`left out "${path}": it is no file, directory or link`);
}

/** Runs a command with its output passed on as it comes. Rejects with why it was lost. */
async function passThrough(
  { router, context }: { router: Session["router"]; context: number },
  { signal, ...options }: { command: string; input: false; signal: AbortSignal },
): Promise<Result> {
  const stop = new AbortController();
  const process = startProcess(router, context, {
    ...options,
    signal: AbortSignal.any([signal, stop.signal]),
  });
  // When our own output is closed nothing more can be done for the command: it is ended.
  const pass = (source: ByteSource, output: typeof Deno.stdout) =>
    drain(source, output).catch((error) => {
      if (!(error instanceof HoldfastError)) stop.abort(error);
    });
  const [ended] = await Promise.allSettled([
    process.exit,
    pass(process.stdout, Deno.stdout),
    pass(process.stderr, Deno.stderr),
  ]);
  if (stop.signal.aborted) throw stop.signal.reason;
  if (ended.status === "rejected") throw ended.reason;
  const nothing = new Uint8Array(0);
  return { status: ended.value, error: null, stdout: nothing, stderr: nothing };
}
