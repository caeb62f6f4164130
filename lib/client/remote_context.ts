/** A context as a program of the user's sees it: calls, chains, commands, files. Made by `remote_router.ts`. */
import type { ExitStatus } from "../core/host.ts";
import type { TreeTotals } from "../files/tree_format.ts";
import { capture } from "./capture.ts";
import { callFunction, endChain } from "./remote_call.ts";
import type { OpenRequest, Session } from "./session.ts";
import { fetchFiles, putFiles } from "./transfer.ts";

/** The result of a call, and the context that it was sent to. */
export type RemoteCall<T> = Promise<T> & { readonly context: Context };

/** A function as it can be called from here: its result is awaited, and iterables are asynchronous. */
type Remote<F> = F extends (...args: infer A) => infer R ? (...args: A) => RemoteCall<Result<R>>
  : never;
type Result<R> = Awaited<R> extends AsyncIterable<infer T> ? AsyncIterableIterator<T> : Awaited<R>;

/** The functions of a module, to be called in a context. */
export type RemoteModule<M> = {
  readonly [K in keyof M as M[K] extends (...args: never[]) => unknown ? K : never]: Remote<M[K]>;
};

export interface CallOptions {
  /** Gives calls up, there too: a function that takes an `AbortSignal` is better handed one as an argument. */
  signal?: AbortSignal;
}

export interface ExecOptions {
  /** What the command reads. Default: nothing. */
  stdin?: Uint8Array | string;
  /** Working directory. Default: the user's home. */
  cwd?: string;
  /** Added to the environment. */
  env?: Record<string, string>;
  /** Ends the command. */
  signal?: AbortSignal;
  /** Bytes of stdout and stderr together that are held at most. Default 64 MiB. */
  limit?: number;
}

/** How a command ended, and what it wrote. */
export interface ExecResult {
  /** Its exit status; null when a signal ended it. */
  code: number | null;
  /** `SIGTERM`; null when it ended by itself. */
  signal: string | null;
  stdout: Uint8Array;
  stderr: Uint8Array;
}

/** What can call functions: a context, or a chain of calls in it. */
export interface Caller {
  /**
   * Calls a function that a module exports. The module, a file of this machine, travels with everything that it
   * imports. Arguments and results are JSON, Uint8Array, Date, Map, Set, bigint, undefined and errors, nested and up to
   * 64 MiB; async iterables, in both directions; channels and AbortSignals as arguments.
   *
   * @throws {RemoteError} when the function threw
   * @throws {HoldfastError} `usage`: the module does not compile, or a value cannot be sent; `not_found`: no such
   * module or function; `limit`: too large; `disconnected`: the context went away; else what the signal's reason is
   */
  call(module: URL, name: string, ...args: unknown[]): RemoteCall<unknown>;
  /** The functions of a module with their types: `context.module<typeof import("./remote.ts")>(url)`. */
  module<M>(module: URL, options?: CallOptions): RemoteModule<M>;
}

export class Context implements Caller {
  /** Its stack of hops: `web1,sudo=postgres`. */
  readonly target: string;
  readonly #session: Session;
  readonly #id: number;
  readonly #request: OpenRequest;
  readonly #modules: Map<string, Promise<string>> = new Map();
  #chains = 0;

  constructor(
    session: Session,
    { id, target, request }: { id: number; target: string; request: OpenRequest },
  ) {
    this.#session = session;
    this.#id = id;
    this.#request = request;
    this.target = target;
  }

  /** What opened it, for contexts behind it; the passwords that were given are in it. */
  get request(): OpenRequest {
    return this.#request;
  }

  call(module: URL, name: string, ...args: unknown[]): RemoteCall<unknown> {
    return this.#call(this.#provide(module), { name, args });
  }

  module<M>(module: URL, { signal }: CallOptions = {}): RemoteModule<M> {
    return functionsOf((name, args) => this.#call(this.#provide(module), { name, args, signal }));
  }

  /**
   * A chain: its calls are sent without waiting and run in their order; when one fails, those after it fail with the
   * same error and do not run. So it is enough to await the last one.
   */
  chain(): Chain {
    const chain = this.#chains++;
    /** Settles when everything so far has been sent. */
    let sent: Promise<unknown> = Promise.resolve();
    return new Chain({
      call: (module, request) => {
        const provided = this.#provide(module);
        provided.catch(() => {});
        const ready = sent.then(() => provided);
        sent = ready;
        const call = this.#call(ready, { ...request, chain });
        call.catch(() => {});
        return call;
      },
      end: () => {
        const { router } = this.#session;
        void sent.then(() => endChain(router, this.#id, chain), () => {});
      },
    });
  }

  /** Runs a command to its end: a line for the login shell, or exact words. */
  async exec(command: string | string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { stdin, ...rest } = options;
    const ended = await capture(this.#session.router, this.#id, {
      ...rest,
      command,
      input: stdin !== undefined,
      onStart: async (process) => {
        const bytes = typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin;
        // A command need not read what it is given.
        if (bytes) await process.stdin!.write(bytes).then(() => process.stdin!.close(), () => {});
      },
    });
    if (ended.error) throw ended.error;
    const { code, signal } = ended.status as ExitStatus;
    return { code, signal, stdout: ended.stdout, stderr: ended.stderr };
  }

  /** Copies files and trees there, as `holdfast put` does. */
  async put(
    sources: string | string[],
    destination: string,
    options: CallOptions = {},
  ): Promise<TreeTotals> {
    const id = await this.#session.open({ ...this.#request, purpose: "files" });
    const list = typeof sources === "string" ? [sources] : sources;
    return await putFiles(this.#session.router, id, { sources: list, destination, ...options });
  }

  /** Copies files and trees from there, as `holdfast fetch` does. */
  async fetch(
    sources: string | string[],
    destination: string,
    options: CallOptions = {},
  ): Promise<TreeTotals> {
    const id = await this.#session.open({ ...this.#request, purpose: "files" });
    const list = typeof sources === "string" ? [sources] : sources;
    return await fetchFiles(this.#session.router, id, { sources: list, destination, ...options });
  }

  /**
   * Lets it, and contexts behind it, outlive the connection. Until that ends all is as before, for others that share it as
   * well. When it ends, however that comes about, the functions that run here and behind go on until they return, and so
   * do commands that were started with `--leave`; then these contexts end. Nothing reaches them in the meantime: what the
   * functions return is lost, their signals are aborted, and whoever opens the stack is given new contexts. To end one
   * early, kill its process there, which `ps` shows as `holdfast: STACK (OWNER)`.
   *
   * @throws {HoldfastError} `bootstrap`: it has no runtime; `disconnected`: it is gone
   */
  async detach(): Promise<void> {
    await this.#session.daemon("routing", "detach", { context: this.#id });
  }

  /** The module's id, once the context can have it; it is compiled once for this context object. */
  #provide(module: URL): Promise<string> {
    const url = String(module);
    let provided = this.#modules.get(url);
    if (!provided) {
      provided = this.#session.daemon("module", "provide", { context: this.#id, url })
        .then(({ module }) => module as string);
      provided.catch(() => this.#modules.delete(url));
      this.#modules.set(url, provided);
    }
    return provided;
  }

  #call(
    provided: Promise<string>,
    request: { name: string; args: unknown[]; chain?: number; signal?: AbortSignal },
  ): RemoteCall<unknown> {
    const promise = provided.then((module) =>
      callFunction(this.#session.router, this.#id, {
        ...request,
        module,
        context: this.target,
        locate: async (stack) =>
          String((await this.#session.daemon("module", "locate", { stack })).stack),
      })
    );
    return Object.assign(promise, { context: this });
  }
}

interface ChainLink {
  call(
    module: URL,
    request: { name: string; args: unknown[]; signal?: AbortSignal },
  ): RemoteCall<unknown>;
  end(): void;
}

/** Calls that run one after another; see `Context.chain`. */
export class Chain implements Caller, Disposable {
  readonly #link: ChainLink;

  constructor(link: ChainLink) {
    this.#link = link;
  }

  call(module: URL, name: string, ...args: unknown[]): RemoteCall<unknown> {
    return this.#link.call(module, { name, args });
  }

  module<M>(module: URL, { signal }: CallOptions = {}): RemoteModule<M> {
    return functionsOf((name, args) => this.#link.call(module, { name, args, signal }));
  }

  /** Forgets it there. Calls that were sent run all the same. */
  [Symbol.dispose](): void {
    this.#link.end();
  }
}

function functionsOf<M>(
  call: (name: string, args: unknown[]) => RemoteCall<unknown>,
): RemoteModule<M> {
  return new Proxy({}, {
    // Not `then`: a module is no promise.
    get: (_, name) =>
      typeof name !== "string" || name === "then"
        ? undefined
        : (...args: unknown[]) => call(name, args),
  }) as RemoteModule<M>;
}
