/**
 * Reads ssh_config as OpenSSH does: through `ssh -G` where ssh is installed, else from the files themselves.
 * Used by `ssh_resolver.ts`, which caches.
 */

import { GUARD_ENVIRONMENT } from "../rendezvous/ssh_config_guard.ts";
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import { PHASE_DEADLINES } from "./phase_clock.ts";
import { checkHostName, checkUserName } from "./proxy_command.ts";
import { readConfigFiles } from "./ssh_config_files.ts";
import { type RawConfig, settingsFrom, type SshOptions, type SshSettings } from "./ssh_settings.ts";

export type { SshOptions, SshSettings };

/** Where a resolution happens. */
export interface SshContext {
  /** The asking client's environment. */
  env: Record<string, string>;
  /** The asking client's working directory, for relative file names. */
  cwd: string;
  signal?: AbortSignal;
  /** The ControlPath to resolve for the host, whatever ssh_config says of it; only ssh does that. */
  controlPath?: string;
  /** `"files"` reads ssh_config by ourselves even where ssh is installed. Default: `"ssh"` with that as fallback. */
  reader?: "ssh" | "files";
}

/**
 * Resolves `host` as ssh would. Fails with kind `usage` when the words are wrong, `resolve` when ssh_config is broken,
 * `timeout` when a `Match exec` hangs.
 */
export async function resolveSsh(
  host: string,
  options: SshOptions,
  context: SshContext,
): Promise<SshSettings> {
  checkWords(host, options);
  const { env, cwd } = context;
  const raw = context.reader === "files"
    ? null
    : await readThroughSsh(sshArguments(host, options, context), context);
  return settingsFrom(raw ?? await readConfigFiles(host, options), { host, options, env, cwd });
}

function checkWords(host: string, { user, port, options = [], identityFiles = [] }: SshOptions) {
  checkHostName(host);
  if (user !== undefined) checkUserName(user);
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65536)) {
    throw new HoldfastError("usage", `Cannot use port "${port}": expected 1 to 65535`);
  }
  for (const option of options) {
    if (/^\s*[A-Za-z]\w*\s*[\s=]\s*\S/.test(option) && !/[\0\n]/.test(option)) continue;
    throw new HoldfastError(
      "usage",
      `Cannot use -o "${printable(option)}": expected Keyword=value`,
    );
  }
  if (identityFiles.includes("")) {
    throw new HoldfastError("usage", "Cannot use -i: empty file name");
  }
}

/** The exact words after `ssh`; none of them can be mistaken for another option. */
export function sshArguments(
  host: string,
  options: SshOptions,
  { controlPath }: Pick<SshContext, "controlPath"> = {},
): string[] {
  const args = ["-G"];
  if (controlPath !== undefined) args.push("-S", controlPath);
  if (options.configFile !== undefined) args.push("-F", options.configFile);
  for (const file of options.identityFiles ?? []) args.push("-i", file);
  if (options.port !== undefined) args.push("-p", String(options.port));
  if (options.user !== undefined) args.push("-l", options.user);
  if (options.jump !== undefined) args.push("-J", options.jump);
  for (const option of options.options ?? []) args.push("-o", option);
  return [...args, "--", host];
}

/** What `ssh -G` prints, by keyword; null where there is no ssh. */
async function readThroughSsh(args: string[], context: SshContext): Promise<RawConfig | null> {
  const host = printable(args.at(-1)!);
  const attempt = new AbortController();
  const cancel = () => attempt.abort();
  const timer = setTimeout(cancel, PHASE_DEADLINES.resolve);
  context.signal?.addEventListener("abort", cancel);
  try {
    context.signal?.throwIfAborted();
    const { success, stdout, stderr } = await new Deno.Command("ssh", {
      args,
      cwd: context.cwd,
      env: { ...context.env, ...GUARD_ENVIRONMENT },
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: attempt.signal,
    }).output();
    if (success) return parseDump(new TextDecoder().decode(stdout));
    if (context.signal?.aborted) throw new HoldfastError("cancelled", `Gave up resolving ${host}`);
    if (attempt.signal.aborted) {
      const text = `Cannot resolve "${host}": ssh -G gave no answer in time\n` +
        "Check the Match exec lines of ssh_config";
      throw new HoldfastError("timeout", text);
    }
    throw refusedBySsh(host, new TextDecoder().decode(stderr));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound && await isDirectory(context.cwd)) return null;
    throw toHoldfastError(error, "resolve");
  } finally {
    clearTimeout(timer);
    context.signal?.removeEventListener("abort", cancel);
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return (await Deno.stat(path).catch(() => null))?.isDirectory ?? false;
}

/** ssh blames the words we gave it with "command-line:" or "keyword", else a file. */
function refusedBySsh(host: string, stderr: string): HoldfastError {
  const lines = stderr.split("\n").map((line) => printable(line.trim())).filter((line) => line);
  const ours = /^(command-line|hostname contains|remote username|Invalid -J|Bad )/i;
  const kind = lines.some((line) => ours.test(line)) ? "usage" : "resolve";
  const reason = lines.slice(0, 2).join("; ").replace("command-line: line 0: ", "-o: ");
  return new HoldfastError(kind, `Cannot resolve "${host}": ${reason || "ssh -G failed"}`);
}

function parseDump(text: string): RawConfig {
  const raw: RawConfig = new Map();
  for (const line of text.split("\n")) {
    const space = line.indexOf(" ");
    if (space < 0) continue;
    const key = line.slice(0, space);
    const values = raw.get(key);
    if (values === undefined) raw.set(key, [line.slice(space + 1)]);
    else values.push(line.slice(space + 1));
  }
  return raw;
}
