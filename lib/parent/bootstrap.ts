/** Starts the core behind a shell: sends it to a first stage, waits for its greeting and joins the link. */
import type { CoreToSend } from "../core/context.ts";
import { HoldfastError } from "../core/errors.ts";
import { checkVersion, encodeGreeting, NoGreeting, readGreeting } from "../core/greeting.ts";
import type { Child, Transport } from "../core/host.ts";
import { Link } from "../core/link.ts";
import type { Router } from "../core/router.ts";
import { printable } from "../core/printable.ts";
import { endChild } from "./end_child.ts";
import { NO_RUNTIME } from "./first_stage.ts";

export interface BootstrapOptions {
  /** Id of the new context. */
  id: number;
  /** Its stack in the user's words, `web1,sudo`, and whose tree it belongs to, `ann@laptop:4711`. */
  name: string;
  owner: string;
  core: CoreToSend;
  /** The child has this very core built in: none is sent. */
  builtIn?: boolean;
  /** A first stage that finds no runtime goes on as a shell: after {@linkcode NoRuntime} the child is the caller's. */
  keepsShell?: boolean;
  /** Milliseconds until the greeting must have come. Default 30 000. */
  deadline?: number;
  /** Milliseconds that the core gets to end when its link has ended, before it is killed. Default 10 000. */
  endGrace?: number;
  /** What the target wrote to stderr, as it comes. */
  onStderr?: (text: string) => void;
  /** Gives up as long as it has not greeted. */
  signal?: AbortSignal;
}

/** The context that was started. */
export interface Bootstrapped {
  link: Link;
  runtime: string;
  /** Resolves when its link has ended, with the reason. Its routes are gone by then. */
  closed: Promise<HoldfastError>;
  /** Resolves after that, when its process has ended too, was killed, or goes on because it is detached. */
  ended: Promise<void>;
}

/** Thrown when the target has no JavaScript runtime. */
export class NoRuntime extends HoldfastError {
  /** What its shell has said since. */
  readonly after: string;

  constructor(after = "") {
    super("bootstrap", "the target has no deno, node or bun");
    this.after = after;
  }
}

/**
 * Makes `child`, which runs a first stage, a context below `router`. Rejects with {@linkcode NoRuntime}, or with
 * `bootstrap`, `timeout`, `version` or `cancelled`; the child has then ended or was killed.
 */
export async function bootstrap(
  router: Router,
  child: Child,
  options: BootstrapOptions,
): Promise<Bootstrapped> {
  const stderr = collectStderr(child, options.onStderr);
  const transport = childTransport(child);
  const listened = options.keepsShell ? untilNoRuntime(transport) : null;
  const deadline = options.deadline ?? 30_000;
  let giveUp: (error: HoldfastError) => void;
  const late = new Promise<never>((_, reject) => giveUp = reject);
  late.catch(() => {});
  const timer = setTimeout(() => {
    const text = `the core did not answer within ${deadline / 1000} s of its start`;
    giveUp(new HoldfastError("timeout", text));
  }, deadline);
  const onAbort = () => giveUp(new HoldfastError("cancelled", "nobody wants it any more"));
  options.signal?.addEventListener("abort", onAbort);
  if (options.signal?.aborted) onAbort();
  let failed = false;
  try {
    // All at once, so that starting a context costs one round trip.
    const greeting = birthGreeting(router, options);
    const { core, builtIn } = options;
    const sent = (builtIn ? Promise.resolve() : transport.write(core.bytes))
      .then(() => transport.write(greeting));
    sent.catch(() => {});
    const read = await Promise.race([readGreeting(listened ?? transport), late]);
    await Promise.race([sent, late]);
    checkVersion(read.greeting);
    if (read.greeting.coreHash !== options.core.hash) {
      throw new HoldfastError("version", "the core that answered is not the one that was sent");
    }
    const link = new Link(options.id, transport);
    router.addRoute(options.id, link);
    let onEnded: () => void;
    const ended = new Promise<void>((resolve) => onEnded = resolve);
    const closed = new Promise<HoldfastError>((resolve) => {
      void link.run({
        onFrame: (frame) => router.receive(frame, link),
        onClose: (error) => {
          const why = error ? `the link to it broke: ${error.message}` : "its context has ended";
          const reason = new HoldfastError("disconnected", `${options.name}: ${why}`);
          router.removeLink(link, reason);
          resolve(reason);
          if (link.detached) return onEnded();
          // The core ends by itself, when it has ended its processes: a signal would leave those alone.
          const timer = setTimeout(() => {
            child.kill("SIGKILL");
            onEnded();
          }, options.endGrace ?? 10_000);
          const onExit = () => {
            clearTimeout(timer);
            onEnded();
          };
          void child.exit.then(onExit, onExit);
        },
      }, read.rest);
    });
    const runtime = printable(`${read.greeting.body.runtime}`).slice(0, 16);
    return { link, runtime, closed, ended };
  } catch (error) {
    const noRuntime = error instanceof NoGreeting && error.noise.includes(NO_RUNTIME);
    if (noRuntime && listened) throw new NoRuntime(listened.after());
    failed = true;
    transport.close();
    if (["cancelled", "timeout"].includes((error as HoldfastError).kind)) await endChild(child);
    else child.kill("SIGKILL");
    if (noRuntime) throw new NoRuntime();
    if (!(error instanceof NoGreeting)) throw error;
    await Promise.race([child.exit, late]).catch(() => {});
    const said = printable(`${error.noise}\n${stderr()}`.trim().slice(-300));
    throw new HoldfastError(
      "bootstrap",
      `the core did not start: ${said || error.message}`,
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", onAbort);
    if (failed) child.stderr.cancel();
  }
}

/** What tells a new context who it is: it follows the core. */
export function birthGreeting(
  router: Router,
  { id, name, owner, core }: Pick<BootstrapOptions, "id" | "name" | "owner" | "core">,
): Uint8Array {
  const parents = [router.id, ...router.parentIds];
  return encodeGreeting({ id, parents, name, owner }, core.hash);
}

/** A child's standard input and output as a transport. */
function childTransport(child: Child): Transport {
  return {
    read: () => child.stdout.read(),
    write: (bytes) => child.stdin.write(bytes),
    close() {
      child.stdin.close().catch(() => {});
      child.stdout.cancel();
    },
  };
}

/** For as long as it has not greeted: the word that there is no runtime is its end, and what it said behind that is kept. */
function untilNoRuntime(transport: Transport): Transport & { after(): string } {
  let last = "";
  const at = () => last.indexOf(NO_RUNTIME);
  return {
    ...transport,
    async read() {
      const bytes = at() < 0 ? await transport.read() : null;
      if (bytes) last = (last + new TextDecoder("latin1").decode(bytes)).slice(-4096);
      return bytes;
    },
    after: () => last.slice(at() + NO_RUNTIME.length),
  };
}

/** Reads stderr to its end; the function returns the last of it. */
function collectStderr(child: Child, onText: (text: string) => void = () => {}): () => string {
  let last = "";
  void (async () => {
    const decoder = new TextDecoder();
    for (let bytes = await child.stderr.read(); bytes; bytes = await child.stderr.read()) {
      const text = decoder.decode(bytes, { stream: true });
      last = (last + text).slice(-4096);
      onText(text);
    }
  })().catch(() => {});
  return () => last;
}
