/**
 * The relay behind `holdfast client`: carries out actions, one a line, in one context. It connects at the first
 * action, and again at the next one after the connection was lost.
 */
import { HoldfastError } from "../core/errors.ts";
import type { ByteSource } from "../core/host.ts";
import { printable } from "../core/printable.ts";
import { parseAction } from "../rendezvous/action.ts";
import { ActionRunner } from "./action_runner.ts";
import {
  type Destination,
  END_OF_INIT,
  MAX_INIT_BLOCK,
  parseInitBlock,
  readDestination,
} from "./init_block.ts";
import { LineReader } from "./line_reader.ts";
import { printResult, type Result, resultStatus } from "./result_line.ts";
import { makeBlocking } from "./make_blocking.ts";
import { connectDaemon, type SshOptions } from "./session.ts";

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
const OPENING_BRACE = 0x7b;

/**
 * Carries out all actions and resolves with the last status.
 *
 * - In order: an action starts when the one before it has ended, and what follows one that failed is not begun.
 * - Rejects only when nothing was begun (`usage`: the init block), when aborted, or when our own output is closed.
 */
export async function relay(options: RelayOptions): Promise<number> {
  makeBlocking();
  const { keepGoing, json, signal } = options;
  const lines = new LineReader(options.input, { limit: MAX_LINE });
  const destination = await begin(lines, options);
  await using runner = new ActionRunner(destination, {
    connect: () => connectDaemon(),
    collect: json,
    onWarning: complain,
    signal,
  });
  let status = 0;
  while (status === 0 || keepGoing) {
    let result: Result;
    try {
      const line = await lines.next();
      if (line === null) break;
      if (line.trim() === "") continue;
      result = await runner.run(parseAction(line));
    } catch (error) {
      if (signal.aborted || !(error instanceof HoldfastError)) throw error;
      result = { status: null, error: unreadable(lines.count, error) };
    }
    status = resultStatus(result);
    if (json) await printResult(result);
    else if (result.error) complain(result.error.message);
  }
  signal.throwIfAborted();
  return status;
}

/** What is wrong with a line; `runner.run` tells in its result what went wrong with an action. */
function unreadable(line: number, { message }: HoldfastError): HoldfastError {
  return new HoldfastError("usage", `Cannot carry out line ${line}: ${message}`);
}

/** Reads the init block if there is one; what follows belongs to the actions. */
async function begin(
  lines: LineReader,
  { target, ssh }: RelayOptions,
): Promise<Destination> {
  const byte = await lines.peek();
  if (byte !== OPENING_BRACE) {
    if (target !== undefined) return readDestination({}, { target, ssh });
    const found = byte === null ? "it is empty" : "it does not begin with {";
    throw new HoldfastError(
      "usage",
      `Cannot read init block from standard input: ${found}; send one, or name a TARGET`,
    );
  }
  const block: string[] = [];
  let size = 0;
  for (;;) {
    const line = await nextOfInit(lines);
    if (line?.trim() === END_OF_INIT) break;
    if (line === null) {
      throw new HoldfastError(
        "usage",
        `Cannot read init block: it is not ended by a line ${END_OF_INIT}`,
      );
    }
    size += new TextEncoder().encode(line).length + 1;
    if (size > MAX_INIT_BLOCK) throw oversized();
    block.push(line);
  }
  const onIgnored = (names: string[]) =>
    complain(`ignored in the init block: ${names.slice(0, 50).join(", ")}`);
  const fields = parseInitBlock(block.join("\n"));
  return readDestination(fields, { target, ssh, onIgnored });
}

async function nextOfInit(lines: LineReader): Promise<string | null> {
  try {
    return await lines.next();
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    if (error.kind === "limit") throw oversized();
    throw new HoldfastError("usage", `Cannot read init block: ${error.message}`);
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
