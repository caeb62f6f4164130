/**
 * Opens one hop from inside a context: runs the method's tool, answers its questions for a password, and yields the
 * byte pipe to a shell inside. Used by the service that opens contexts, on every runtime.
 */
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import { hex } from "../core/greeting.ts";
import type { Child, ProcessHost } from "../core/host.ts";
import { printable } from "../core/printable.ts";
import type { ConnectionMethod } from "./connection_method.ts";
import { CONNECTION_METHODS } from "./connection_methods.ts";
import { endChild } from "./end_child.ts";
import { hopScript } from "./hop_script.ts";
import { NO_SCRIPT, toolTerminal } from "./tool_terminal.ts";
import { type AskPassword, ToolTalk } from "./tool_talk.ts";

export interface HopToOpen {
  method: string;
  argument?: string;
  /** Whom to be there, where the method `takesUser`. */
  user?: string;
  /** Begins every message: the stack up to and including this hop, `web1,sudo=postgres`. */
  label: string;
}

export interface OpenHopOptions {
  /** For a POSIX shell, as `firstStage` gives it. */
  line: string;
  /** Gets a password from a person. */
  ask: AskPassword;
  /** Milliseconds that the tool may take, anew after each answer. Default 30 000. */
  deadline?: number;
  signal?: AbortSignal;
  /** Kept from one opening of a hop to the next: whether the tool wants a terminal. */
  memory?: { terminal: boolean };
}

/**
 * Resolves with the process once a shell inside has announced itself and is about to run `line`: its stdin and stdout
 * are that line's, with nothing of the tool's in them. Rejects with `auth`, `not_found`, `permission`, `usage`,
 * `timeout`, `cancelled`, `limit` or `bootstrap`; the tool has then been ended, as far as we may signal it: what it
 * runs as another user ends because its stdin has.
 */
export async function openHop(
  host: ProcessHost,
  hop: HopToOpen,
  options: OpenHopOptions,
): Promise<Child> {
  try {
    if (!Object.hasOwn(CONNECTION_METHODS, hop.method)) {
      throw new HoldfastError("usage", "there is no such connection method");
    }
    const method = CONNECTION_METHODS[hop.method];
    if (hop.user !== undefined && !method.takesUser) {
      throw new HoldfastError("usage", `${hop.method} cannot become user "${hop.user}"`);
    }
    if (method.plain) {
      return await host.spawn({ command: method.words(options.line, { host, terminal: false }) });
    }
    const opening = { host, hop, options, method };
    const { memory = { terminal: false } } = options;
    const child = memory.terminal ? null : await open(opening, false);
    if (child) return child;
    memory.terminal = true;
    return (await open(opening, true))!;
  } catch (error) {
    const { kind, message } = toHoldfastError(error);
    throw new HoldfastError(kind, `${printable(hop.label)}: ${message}`, { cause: error });
  }
}

interface Opening {
  host: ProcessHost;
  hop: HopToOpen;
  options: OpenHopOptions;
  method: ConnectionMethod;
}

/** Null: the tool wants a terminal, and had none. */
async function open(opening: Opening, terminal: boolean): Promise<Child | null> {
  const { host, hop, options, method } = opening;
  const mark = `hf${hex(crypto.getRandomValues(new Uint8Array(8)))}`;
  const reads = method.terminal?.reads ?? "stdin";
  const relayed = terminal && reads !== "stdin";
  const script = hopScript(options.line, { mark, setsLogin: !!method.setsLogin, relayed });
  const words = method.words(script, { argument: hop.argument, user: hop.user, host, terminal });
  const child = await host.spawn({
    command: terminal ? toolTerminal(words, { reads, last: mark }) : words,
    cwd: "/",
    // Not LC_ALL: the script inside could not give back what it was. `script` runs what SHELL says.
    env: { LANGUAGE: "en", ...terminal && { SHELL: "/bin/sh" } },
  }).catch((error) => {
    if (error.kind !== "not_found") throw error;
    throw new HoldfastError("not_found", `there is no program ${words[0]} here`, { cause: error });
  });
  const { line: _, memory: _memory, deadline = 30_000, ...rest } = options;
  const talk = new ToolTalk(child, {
    ...rest,
    deadline,
    method,
    script,
    mark,
    tool: words[0],
    hop: hop.label,
  });
  let opened = false;
  try {
    opened = await talk.untilOpen();
    if (opened) return { ...child, stdout: talk.stdout, stderr: talk.stderr };
    const status = await talk.lastWords();
    if (!terminal && method.terminal?.wanted.test(talk.said)) return null;
    if (terminal && status?.code === NO_SCRIPT) {
      const text = `${words[0]} wants a terminal, and the program script (util-linux) is missing`;
      throw new HoldfastError("bootstrap", text);
    }
    throw talk.failure(status);
  } finally {
    talk.stop();
    if (!opened) await endChild(child);
  }
}
