/**
 * A live user of our client library, driven by the bench through `LineProcess`: it connects to the daemon
 * and opens its target once, then times one command per request.
 */

import { startProcess } from "../../lib/client/remote_process.ts";
import type { Context } from "../../lib/client/remote_context.ts";
import { Router } from "../../lib/client/remote_router.ts";
import { connectDaemon, type Session } from "../../lib/client/session.ts";

type Request =
  | { do: "open"; target: string; configFile: string; purpose?: "command" | "files" }
  | { do: "run"; target: string; command: string }
  | { do: "context"; target: string; configFile: string }
  | { do: "call"; target: string; count: number }
  | { do: "ping"; target: string }
  | { do: "fleet"; target: string; configFile: string; count: number }
  | { do: "disconnect"; target: string; configFile: string }
  | { do: "status" | "stop" };

const NOOP = new URL("noop.ts", import.meta.url);

const contexts = new Map<string, number>();
/** Those that functions are called in. */
const callable = new Map<string, Context>();
let session: Session | null = null;

async function answer(request: Request): Promise<Record<string, unknown>> {
  if (request.do === "stop") {
    const asked = session ?? await connectDaemon({ start: false });
    const pid = asked ? (await asked.daemon("daemon", "stop")).pid : null;
    await asked?.close();
    session = null;
    contexts.clear();
    callable.clear();
    return { pid };
  }
  session ??= await connectDaemon();
  switch (request.do) {
    case "open": {
      const { target, configFile, purpose = "files" } = request;
      contexts.set(target, await session.open({ target, ssh: { configFile }, purpose }));
      return {};
    }
    case "run": {
      const context = contexts.get(request.target)!;
      const start = performance.now();
      const { command } = request;
      const { code } = await startProcess(session.router, context, { command, input: false }).exit;
      const ms = performance.now() - start;
      return code === 0 ? { ms } : { error: `status ${code}` };
    }
    case "context": {
      const { target, configFile } = request;
      const router = new Router(session);
      const start = performance.now();
      callable.set(target, await router.open(target, { ssh: { configFile } }));
      const ms = performance.now() - start;
      contexts.set(target, await session.open({ target, ssh: { configFile }, purpose: "code" }));
      return { ms };
    }
    case "ping": {
      const context = contexts.get(request.target)!;
      await session.router.call(context, { service: "context", method: "ping" });
      return {};
    }
    case "call": {
      const context = callable.get(request.target)!;
      const { count } = request;
      const start = performance.now();
      for (let i = 0; i < count; i++) await context.call(NOOP, "noop");
      return { ms: (performance.now() - start) / count };
    }
    case "fleet": {
      const { target, configFile, count } = request;
      const router = new Router(session);
      const start = performance.now();
      // One place is one connection; what tells these apart is a password that nobody asks for.
      await Promise.all(
        Array.from(
          { length: count },
          (_, index) => router.open(target, { ssh: { configFile }, becomePassword: `${index}` }),
        ),
      );
      return { ms: performance.now() - start };
    }
    case "disconnect": {
      const { target, configFile } = request;
      const args = { target, ssh: { configFile }, env: Deno.env.toObject(), cwd: Deno.cwd() };
      return await session.daemon("connection", "disconnect", args);
    }
    case "status":
      return await session.daemon("daemon", "status");
  }
}

if (import.meta.main) {
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    rest += text;
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
      const request = JSON.parse(rest.slice(0, end)) as Request;
      rest = rest.slice(end + 1);
      const reply = await answer(request).catch((error) => ({ error: String(error) }));
      await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(reply) + "\n"));
    }
  }
  Deno.exit(0);
}
