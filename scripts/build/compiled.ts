/**
 * The built file as `deno compile` makes it, where its runtime (denort) is at hand. It needs no unpacking; the parts are
 * those of the self-contained script, and a first module that chooses among them stands for that one's head.
 */

import { partNames } from "./parts.ts";
import { TARGETS } from "./runtime.ts";

/** denort for a target: `DENORT_BIN`, or what `deno compile` has kept of an earlier download; null where there is none. */
export async function findDenort(target: string): Promise<string | null> {
  const named = Deno.env.get("DENORT_BIN");
  if (named) return named;
  const { stdout } = await deno(["info", "--json"]);
  const { denoDir } = JSON.parse(new TextDecoder().decode(stdout));
  const { triple } = TARGETS[target];
  const kept = `${denoDir}/dl/release/v${Deno.version.deno}/denort-${triple}.zip`;
  return await Deno.stat(kept).then(() => kept, () => null);
}

/** Compiles the parts, by their files' names, to `path`. */
export async function compileFile(
  path: string,
  { target, parts }: { target: string; parts: Map<string, string> },
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "holdfast-build-" });
  try {
    await writeModules(dir, parts);
    await deno(compileArguments(path, { target, dir }));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Writes what is compiled into a directory; its `main.mjs` is started. */
export async function writeModules(dir: string, parts: Map<string, string>): Promise<void> {
  for (const [name, script] of parts) {
    // A part is imported, and not what is started.
    await Deno.writeTextFile(`${dir}/${name}`, script.replaceAll("import.meta.main", "true"));
  }
  await Deno.writeTextFile(`${dir}/main.mjs`, mainModule());
}

function compileArguments(
  path: string,
  { target, dir }: { target: string; dir: string },
): string[] {
  const { triple } = TARGETS[target];
  const closed = ["--no-config", "--no-lock", "--no-npm", "--no-remote"];
  const words = ["--allow-all", "--no-check", "--quiet", ...closed, "--target", triple];
  return ["compile", ...words, "--include", dir, "--output", path, `${dir}/main.mjs`];
}

/** What the head of the script does: called as ssh it is `holdfast ssh`. */
function mainModule(): string {
  return `import process from "node:process";
const words = /(^|\\/)ssh$/.test(process.argv0) ? ["ssh", ...Deno.args] : Deno.args;
Object.defineProperty(Deno, "args", { value: words });
const part = ${JSON.stringify(partNames())}.includes(words[0]) ? words[0] : "help";
await import(\`./\${part}.mjs\`);
`;
}

async function deno(args: string[]): Promise<Deno.CommandOutput> {
  const command = new Deno.Command(Deno.execPath(), { args, stdin: "null", stderr: "inherit" });
  const output = await command.output();
  if (!output.success) throw new Error(`Cannot build: deno ${args[0]} failed`);
  return output;
}
