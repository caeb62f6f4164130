/**
 * `deno task build`: writes `dist/holdfast`, one executable file that contains the program and its runtime, and beside
 * it the same under its target's name. The same tree, built with the same Deno, gives the same bytes.
 *
 *     deno run -A scripts/build.ts [--target linux-x64|linux-arm64|macos-x64|macos-arm64] [--out DIRECTORY]
 *
 * The file is a shell script (`build/head.sh`) with a compressed archive behind it; where `deno compile` has what it
 * needs (`DENORT_BIN`, or in Deno's cache), what that makes.
 */

import { gzipSync } from "node:zlib";
import { hex } from "../lib/core/greeting.ts";
import { SELF_CONTAINED } from "../lib/rendezvous/self_command.ts";
import { SENT_ENVIRONMENT } from "../lib/client/session.ts";
import { VERSION } from "../lib/rendezvous/version.ts";
import { compileFile, findDenort } from "./build/compiled.ts";
import { compileParts, partNames } from "./build/parts.ts";
import { ownTarget, runtimeFor, TARGETS } from "./build/runtime.ts";
import { tar } from "./build/tar.ts";

const ROOT = new URL("..", import.meta.url).pathname;

/** Builds for `target` and writes the file to `path`; resolves with what kind of file it is. */
export async function build(path: string, { target }: { target: string }): Promise<string> {
  const commit = await currentCommit();
  const denort = await findDenort(target);
  if (denort !== null) {
    const parts = await compileParts({ commit, compiled: true });
    await compileFile(path, { target, parts });
    return `compiled by Deno ${Deno.version.deno} with ${denort}`;
  }
  const parts = [...await compileParts({ commit })].map(([name, script]) => ({
    name,
    mode: 0o600,
    content: new TextEncoder().encode(script),
  }));
  const runtime = { name: "deno", mode: 0o700, content: await runtimeFor(target) };
  const archive = gzipSync(tar([...parts, runtime]), { level: 6 });
  const hash = hex(new Uint8Array(await crypto.subtle.digest("SHA-256", archive as BufferSource)));
  const { system } = TARGETS[target];
  const head = await Deno.readTextFile(new URL("build/head.sh", import.meta.url));
  const filled = fill(head, {
    VERSION,
    TARGET: target,
    COMMIT: commit,
    HASH: hash,
    SYSTEM: system,
    PARTS: partNames().join(" | "),
    FLAGS: SELF_CONTAINED.join(" "),
    SENT: SENT_ENVIRONMENT.filter((name) => !name.startsWith("HOLDFAST_")).join(" "),
  });
  const temporary = `${path}.${Deno.pid}`;
  await Deno.writeFile(temporary, concatenate(locate(filled), archive));
  await Deno.chmod(temporary, 0o755);
  await Deno.rename(temporary, path);
  return `self-contained script with Deno ${Deno.version.deno}`;
}

function fill(text: string, values: Record<string, string>): string {
  return text.replaceAll(/@([A-Z]+)@/g, (found, name) => values[name] ?? found);
}

/** Writes into the head where the archive begins, counted from 1, in as many digits as the head has room for. */
function locate(head: string): Uint8Array {
  const place = "@OFFSET@";
  const size = new TextEncoder().encode(head).length;
  return new TextEncoder().encode(
    head.replace(place, String(size + 1).padStart(place.length, "0")),
  );
}

function concatenate(head: Uint8Array, archive: Uint8Array): Uint8Array {
  const file = new Uint8Array(head.length + archive.length);
  file.set(head);
  file.set(archive, head.length);
  return file;
}

/** The commit of the tree; `+` at its end tells that there are changes. */
async function currentCommit(): Promise<string> {
  const commit = (await git("rev-parse", "--short=12", "HEAD"))?.trim();
  if (!commit) return "unknown";
  return commit + (await git("status", "--porcelain") === "" ? "" : "+");
}

async function git(...args: string[]): Promise<string | null> {
  try {
    const { success, stdout } = await new Deno.Command("git", {
      args,
      cwd: ROOT,
      stdin: "null",
      stderr: "null",
    }).output();
    return success ? new TextDecoder().decode(stdout) : null;
  } catch {
    return null; // no git
  }
}

function parse(args: string[]): { target: string; out: string } {
  const options = { target: ownTarget(), out: `${ROOT}dist` };
  for (let at = 0; at < args.length; at++) {
    const [name, attached] = args[at].split("=", 2);
    const value = attached ?? args[++at];
    if (value === undefined) fail(`${name} needs a value`);
    if (name === "--target") options.target = value;
    else if (name === "--out") options.out = value;
    else fail(`unknown option "${name}"`);
  }
  const { target, out } = options;
  if (target === undefined || !Object.hasOwn(TARGETS, target)) {
    fail(`no target "${target}"; there are ${Object.keys(TARGETS).join(", ")}`);
  }
  return { target, out };
}

function fail(why: string): never {
  console.error(`build: ${why}`);
  Deno.exit(2);
}

if (import.meta.main) {
  const { target, out } = parse(Deno.args);
  await Deno.mkdir(out, { recursive: true });
  const named = `${out}/holdfast-${target}`;
  const kind = await build(named, { target }).catch((error) => {
    console.error(`build: ${error.message}`);
    Deno.exit(1);
  });
  const written = [named];
  if (target === ownTarget()) {
    await Deno.copyFile(named, `${out}/holdfast`);
    written.unshift(`${out}/holdfast`);
  }
  const { size } = await Deno.stat(named);
  console.log(`${written.join(", ")}: ${kind}, ${(size / 1e6).toFixed(1)} MB`);
}
