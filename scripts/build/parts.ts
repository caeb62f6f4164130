/**
 * The program's parts as JavaScript, for a built file: each is all of `main.ts` that one kind of process needs, in
 * one file, because every further one costs its start some tenths of a millisecond.
 */

import { coreSource } from "../../lib/master/core_source.ts";
import { OWN_MODULES, ownModule } from "../../lib/master/own_modules.ts";
import { COMMANDS } from "../../lib/cli/command_table.ts";
import type { BuildInfo } from "../../lib/rendezvous/build_info.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const DAEMON = ["../daemon/run_daemon.ts"];
/** Commands that programs call in a row: they have a part of their own, together. */
const HOT = ["exec", "ssh"];
/** Native parts of ssh2, which does without; `head.sh` starts the part that its first word needs. */
const NATIVE = ["cpu-features", "./crypto/build/Release/sshcrypto.node"];

/** By the file's name in the archive. */
export async function compileParts({ commit }: { commit: string }): Promise<Map<string, string>> {
  const core = await coreSource();
  const scripts: Record<string, string> = { core: core.compressed.toBase64() };
  for (const id of OWN_MODULES) scripts[id] = (await ownModule(id)).source.toBase64();
  const info: BuildInfo = { commit, coreHash: core.hash };
  const others = Object.keys(COMMANDS).filter((name) => !HOT.includes(name)).map((name) =>
    `./${name}.ts`
  );
  return new Map([
    ["exec.mjs", await compile(info, [...others, ...DAEMON])],
    ["client.mjs", await compile(info, DAEMON)],
    ["daemon.mjs", await compile({ ...info, scripts }, NATIVE)],
  ]);
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
