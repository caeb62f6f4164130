/**
 * The program's parts as JavaScript, for a built file: for each subcommand all of `main.ts` that it needs in one file,
 * because every further file costs its start some tenths of a millisecond, and so does every line that is not needed.
 * `help` has all of them but the daemon, and answers every other first word, and those that read the others.
 */

import { coreSource } from "../../lib/sources/core_source.ts";
import { OWN_MODULES, ownModule } from "../../lib/sources/own_modules.ts";
import { COMMANDS } from "../../lib/cli/command_table.ts";
import type { BuildInfo } from "../../lib/rendezvous/build_info.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const DAEMON = ["../daemon/run_daemon.ts"];
/** Most of the drop-in, for an option of `exec`: `head.sh` then starts `help`, which has it. */
const WITH_SSH = ["./exec_with_ssh.ts"];
/** Native parts of ssh2, which does without. */
const NATIVE = ["cpu-features", "./crypto/build/Release/sshcrypto.node"];

/** By the file's name in the archive. */
export async function compileParts(
  made: Omit<BuildInfo, "coreHash" | "scripts">,
): Promise<Map<string, string>> {
  const core = await coreSource();
  const scripts: Record<string, string> = { core: core.bytes.toBase64() };
  for (const id of OWN_MODULES) scripts[id] = (await ownModule(id)).source.toBase64();
  const info: BuildInfo = { ...made, coreHash: core.hash };
  const parts = new Map([["help.mjs", await compile(info, DAEMON)]]);
  for (const name of partNames()) {
    const others = Object.keys(COMMANDS).filter((other) => other !== name);
    const without = others.map(specifierOf);
    const script = name === "daemon"
      ? await compile({ ...info, scripts }, [...without, ...NATIVE])
      : name === "bootstrap"
      ? await compile({ ...info, scripts: { core: scripts.core } }, [...without, ...DAEMON])
      : await compile(info, [...without, ...DAEMON, ...WITH_SSH]);
    parts.set(`${name}.mjs`, script);
  }
  return parts;
}

/** The subcommands that have a part of their own. */
export function partNames(): string[] {
  return Object.keys(COMMANDS).filter((name) => !COMMANDS[name].readsOthers);
}

/** Where the command table loads a subcommand from, as it is written there. */
function specifierOf(name: string): string {
  const [, specifier] = /import\("([^"]+)"/.exec(String(COMMANDS[name].load)) ?? [];
  if (specifier === undefined) throw new Error(`Cannot tell where ${name} is loaded from`);
  return specifier;
}

async function compile(info: BuildInfo, external: string[]): Promise<string> {
  const bundle = await Deno.bundle({
    entrypoints: [MAIN],
    platform: "deno",
    format: "esm",
    external,
    minify: true,
    write: false,
  });
  const script = bundle.outputFiles?.[0]?.contents;
  if (!bundle.success || !script) {
    throw new Error(`Cannot compile ${MAIN}: ${bundle.errors.map(({ text }) => text).join("; ")}`);
  }
  // Deno prepares what a literal names before the first line runs, whether it is imported later or not.
  const code = new TextDecoder().decode(script).replaceAll('import("', 'importLater("');
  const build = JSON.stringify(info);
  // ssh2 names a program for Windows by it.
  const dirname = 'const __dirname="/";';
  return `globalThis.holdfastBuild=${build};${dirname}const importLater=(name)=>import(name);${code}`;
}
