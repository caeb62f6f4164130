/** `stack.resolve`: what a TARGET stands for, told to a client. For `daemon.ts`; passwords stay here. */
import type { Json, JsonObject } from "../core/json.ts";
import type { StackFiles } from "../stacks/stack_files.ts";
import { type ResolvedHop, resolveStack } from "../stacks/stack_resolver.ts";
import { formatTarget, parseTarget } from "../rendezvous/target.ts";
import type { OpenRequest } from "./planner.ts";

/** Fails with kind `usage` or `resolve`. */
export async function describeStack(
  { target, ssh, env, cwd }: OpenRequest,
  { files, signal }: { files: StackFiles; signal: AbortSignal },
): Promise<JsonObject> {
  const hops = parseTarget(target);
  const sources = files.sourcesFor({ env, cwd, signal });
  const resolved = await resolveStack(hops, { sources, ssh });
  return { target: formatTarget(hops), hops: resolved.map(describeHop) };
}

function describeHop({ hop, name, options, password, source }: ResolvedHop): Json {
  const { user, port, configFile, jump, identityFiles = [], options: settings = [] } = options;
  return {
    method: options.openssh ? "openssh" : hop.method,
    argument: hop.method === "ssh"
      ? hop.host
      : hop.method === "local"
      ? null
      : hop.argument ?? null,
    user: user ?? null,
    port: port ?? null,
    configFile: configFile ?? null,
    jump: jump ?? null,
    identityFiles,
    options: settings,
    /** Whether one is known. */
    password: password !== undefined,
    name,
    source,
  };
}
