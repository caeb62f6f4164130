/**
 * Makes a context able to run code of the user's: calls of functions, and what such code prints. Shipped to a context
 * before its first call.
 */
import { builtin } from "../core/builtin.ts";
import { FORWARD_LOG } from "../core/constants.ts";
import type { Context, StartServices } from "../core/context.ts";
import { FunctionCalls } from "./function_calls.ts";

export const start: StartServices = (context) => {
  const calls = new FunctionCalls(context.router, (id) => context.importer!.load(id));
  forwardOutput(context);
  return { services: {}, close: async () => void (context.detached && await calls.finish()) };
};

/**
 * What code prints, and what it fails with when nobody waits, goes to the root's log. Its standard output is the link:
 * nothing else may be written there.
 */
function forwardOutput({ router }: Context): void {
  const root = router.parentIds.at(-1)!;
  const { format, inspect } = builtin("node:util") as typeof import("node:util");
  const say = (level: string, text: string): void =>
    router.sendJson({ dst: root, handle: FORWARD_LOG, replyTo: 0 }, {
      level,
      text: text.slice(0, 16 * 1024),
    });
  // deno-lint-ignore no-explicit-any
  const target = console as any;
  for (const name of Object.keys(console)) {
    if (typeof target[name] !== "function") continue;
    const level = name === "debug"
      ? name
      : /^(warn|error|trace|assert)$/.test(name)
      ? "warn"
      : "info";
    target[name] = (...args: unknown[]): void => {
      if (name !== "assert" || !args.shift()) say(level, format(...args));
    };
  }
  // deno-lint-ignore no-explicit-any
  const { process } = globalThis as any;
  const { Writable } = builtin("node:stream") as typeof import("node:stream");
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      say("info", String(chunk).trimEnd());
      done();
    },
  });
  Object.defineProperty(process, "stdout", { value: stdout, configurable: true });
  for (const event of ["uncaughtException", "unhandledRejection"]) {
    process.on(event, (error: unknown) => say("warn", `uncaught: ${inspect(error)}`));
  }
}
