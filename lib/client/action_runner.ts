/**
 * Carries out single actions in one context, for the relay and for the length frames on the daemon's socket: opens
 * the session when it is needed, and anew when it, or the context behind it, went away.
 */
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { ByteSource } from "../core/host.ts";
import type { Router } from "../core/router.ts";
import type { Action } from "../rendezvous/action.ts";
import { capture } from "./capture.ts";
import { drain } from "./execute.ts";
import type { Destination } from "./init_block.ts";
import { type RemoteProcessOptions, startProcess } from "./remote_process.ts";
import type { Result } from "./result_line.ts";
import type { OpenRequest } from "./session.ts";
import { fetchFiles, putFiles } from "./transfer.ts";

/** Where contexts are opened and reached: a client's session, or the daemon for itself. */
export interface ActionSession extends AsyncDisposable {
  router: Router;
  open(request: OpenRequest): Promise<number>;
}

export interface ActionRunnerOptions {
  /** Called for the first action, and again after the session was lost. */
  connect: () => Promise<ActionSession>;
  /** Collects a command's output into its result; else it goes to our stdout and stderr as it comes. */
  collect: boolean;
  /** Gets what does not fail an action but should be known. */
  onWarning: (text: string) => void;
  /** Gives up what is under way. */
  signal: AbortSignal;
}

/**
 * - One at a time: callers wait for one action before they begin another.
 * - What is lost fails the action that waits for it; the next one connects again.
 */
export class ActionRunner implements AsyncDisposable {
  readonly #destination: Destination;
  readonly #options: ActionRunnerOptions;
  #session: ActionSession | null = null;
  #unwatch: () => void = () => {};
  /** The context to use; null when it has to be asked for. */
  #context: number | null = null;
  #opened = false;
  /** `#context` is known to serve files. */
  #hasFiles = false;

  constructor(destination: Destination, options: ActionRunnerOptions) {
    this.#destination = destination;
    this.#options = options;
  }

  /** Rejects with what is not the action's own failure only when aborted, or when our own output is closed. */
  async run(action: Action): Promise<Result> {
    const { collect, signal, onWarning } = this.#options;
    const onSkip = (path: string) =>
      onWarning(`left out "${path}": it is no file, directory or link`);
    try {
      const { router, context } = await this.#open(action.type === "exec" ? "command" : "files");
      if (action.type === "exec") {
        const options = { command: action.command, input: false, signal };
        if (!collect) return await passThrough({ router, context }, options);
        const captured = await capture(router, context, options);
        signal.throwIfAborted();
        if (captured.error) this.#forget();
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
      this.#forget();
      return { status: null, error: toHoldfastError(error) };
    }
  }

  /** Reaches the target before the first action. Rejects with why it cannot be reached. */
  async prepare(): Promise<void> {
    await this.#open("command");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unwatch();
    await this.#session?.[Symbol.asyncDispose]();
    this.#session = null;
  }

  /**
   * The first action may get a context that is there at once, while the core starts behind it; the second one
   * asks again, and what it gets is kept.
   */
  async #open(purpose: "command" | "files"): Promise<{ router: Router; context: number }> {
    const { connect, signal } = this.#options;
    this.#session ??= this.#watch(await connect());
    const { router } = this.#session;
    if (this.#context !== null && (purpose === "command" || this.#hasFiles)) {
      return { router, context: this.#context };
    }
    const context = await this.#session.open({ ...this.#destination, purpose, signal });
    if (this.#opened || purpose === "files") this.#context = context;
    this.#hasFiles = purpose === "files";
    this.#opened = true;
    return { router, context };
  }

  #watch(session: ActionSession): ActionSession {
    const { router } = session;
    this.#unwatch = router.onGone((id) => {
      if (id === this.#context) this.#forget();
      if (!router.parentIds.includes(id)) return;
      this.#forget();
      this.#session = null;
    });
    return session;
  }

  /** The next action asks for a context again. */
  #forget(): void {
    this.#context = null;
    this.#opened = false;
    this.#hasFiles = false;
  }
}

/** Runs a command with its output passed on as it comes. Rejects with why it was lost. */
async function passThrough(
  { router, context }: { router: Router; context: number },
  { signal, ...options }: RemoteProcessOptions & { signal: AbortSignal },
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
