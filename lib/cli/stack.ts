/**
 * `holdfast stack`: what a TARGET stands for once the names of the hosts file and of the inventory are replaced.
 * Connects to nothing but the daemon, which reads those files.
 */
import { connectDaemon, sentEnvironment } from "../client/session.ts";
import type { JsonObject } from "../core/json.ts";
import { printable } from "../core/printable.ts";
import { oneTarget } from "./one_target.ts";
import {
  COMMON_OPTIONS,
  JSON_OPTION,
  type OptionTable,
  parseOptions,
  SSH_OPTIONS,
  sshOptions,
} from "./options.ts";
import { textTable } from "./text_table.ts";

export const usage = "holdfast stack [options] TARGET";

export const options = { ...JSON_OPTION, ...SSH_OPTIONS, ...COMMON_OPTIONS } satisfies OptionTable;

/** What the daemon tells; see `daemon/stack_service.ts`. */
interface ResolvedHop {
  method: string;
  argument: string | null;
  user: string | null;
  port: number | null;
  configFile: string | null;
  jump: string | null;
  identityFiles: string[];
  options: string[];
  /** Whether one is known. */
  password: boolean;
  name: string;
  source: string;
}

export async function run(args: string[]): Promise<number> {
  const { options: given, positionals } = await parseOptions(args, options);
  const target = oneTarget(positionals, { action: "resolve", usage });
  const session = await connectDaemon();
  const resolved = await session.daemon("stack", "resolve", {
    target,
    ssh: sshOptions(given) as unknown as JsonObject,
    env: sentEnvironment(),
    cwd: Deno.cwd(),
  }).finally(() => session.close());
  if (given.json) console.log(JSON.stringify(resolved));
  else console.log(report(resolved.hops as unknown as ResolvedHop[]));
  return 0;
}

function report(hops: ResolvedHop[]): string {
  const rows = hops.map((hop, index) => [
    String(index + 1),
    hop.method,
    hop.argument ?? "-",
    describeOptions(hop) || "-",
    hop.name,
    hop.source,
  ]);
  return textTable([["HOP", "METHOD", "ARGUMENT", "OPTIONS", "NAME", "FROM"], ...rows]);
}

/** In ssh's own words. */
function describeOptions(hop: ResolvedHop): string {
  return [
    ...hop.configFile === null ? [] : [`-F ${hop.configFile}`],
    ...hop.user === null ? [] : [`-l ${hop.user}`],
    ...hop.port === null ? [] : [`-p ${hop.port}`],
    ...hop.jump === null ? [] : [`-J ${hop.jump}`],
    ...hop.identityFiles.map((file) => `-i ${file}`),
    ...hop.options.map((option) => `-o ${option}`),
    ...hop.password ? ["(password known)"] : [],
  ].map((part) => printable(part)).join(" ");
}
