/**
 * What a module imports, as Deno resolves it (`deno info`): with the imports of the nearest deno.json. Used by
 * `module_compiler.ts`; the one place that reads what Deno says of modules.
 */
import { HoldfastError } from "../core/errors.ts";

/** One file, and what it imports by which words. Type imports are no part of it. */
export interface GraphFile {
  path: string;
  isJson: boolean;
  imports: { specifier: string; to: Import }[];
}

export type Import =
  | { kind: "file"; path: string }
  /** `node:NAME` */
  | { kind: "builtin"; name: string }
  /** An npm package, or something else that is no file of this machine. */
  | { kind: "package"; specifier: string };

export interface ModuleGraph {
  /** The entry first. */
  files: Map<string, GraphFile>;
  packages: Set<string>;
  /** The configuration that decides what bare words mean. */
  config: string | null;
}

/** The parts of `deno info --json` that we read. Positions count from 0. */
interface DenoInfo {
  roots: string[];
  redirects: Record<string, string>;
  modules: {
    specifier: string;
    local?: string;
    mediaType?: string;
    error?: string;
    dependencies?: {
      specifier: string;
      code?: {
        specifier?: string;
        error?: string;
        span: { start: { line: number; character: number } };
      };
    }[];
  }[];
}

/** Rejects with `not_found` when there is no such file, `usage` with the place when something in it is wrong. */
export async function readModuleGraph(path: string): Promise<ModuleGraph> {
  const config = findConfig(path);
  const info = await denoInfo(path, config);
  const modules = new Map(info.modules.map((module) => [module.specifier, module]));
  const files = new Map<string, GraphFile>();
  const packages = new Set<string>();
  const queue = [info.redirects[info.roots[0]] ?? info.roots[0]];
  for (const specifier of queue) { // grows while we go
    const module = modules.get(specifier);
    const path = pathOf(specifier);
    if (files.has(path)) continue;
    if (!module || module.error) throw unreadable(path, module?.error ?? "it is not there");
    const file: GraphFile = { path, isJson: module.mediaType === "Json", imports: [] };
    files.set(path, file);
    for (const { specifier, code } of module.dependencies ?? []) {
      if (!code) continue;
      const { line, character } = code.span.start;
      const place = `${path}:${line + 1}:${character + 1}`;
      if (!code.specifier) throw wrong(place, code.error ?? `it imports ${specifier}`);
      const to = resolve(code.specifier);
      file.imports.push({ specifier, to });
      if (to.kind === "package") packages.add(to.specifier);
      if (to.kind !== "file") continue;
      const target = info.redirects[code.specifier] ?? code.specifier;
      if (modules.get(target)?.error?.startsWith("Module not found")) {
        throw wrong(place, `there is no module ${JSON.stringify(specifier)}`);
      }
      queue.push(target);
    }
  }
  return { files, packages, config };
}

function resolve(specifier: string): Import {
  if (specifier.startsWith("file:")) return { kind: "file", path: pathOf(specifier) };
  if (specifier.startsWith("node:")) return { kind: "builtin", name: specifier };
  return { kind: "package", specifier };
}

function pathOf(url: string): string {
  return decodeURIComponent(new URL(url).pathname);
}

function wrong(place: string, why: string): HoldfastError {
  return new HoldfastError("usage", `Cannot compile ${JSON.stringify(place)}: ${why}`);
}

/** An error as Deno words it: `SyntaxError: WHAT`, the line, and `at URL:LINE:COLUMN`; or one sentence. */
export function unreadable(path: string, error: string): HoldfastError {
  if (error.startsWith("Module not found")) {
    return new HoldfastError(
      "not_found",
      `Cannot compile ${JSON.stringify(path)}: it does not exist`,
    );
  }
  const [first] = error.replace(/^\w*Error: /, "").split("\n");
  const place = /\bat file:\/\/\S*?(:\d+:\d+)\s*$/.exec(error)?.[1] ?? "";
  return wrong(`${path}${place}`, first);
}

/** The nearest deno.json above a file. */
function findConfig(path: string): string | null {
  for (let end = path.lastIndexOf("/"); end >= 0; end = path.lastIndexOf("/", end - 1)) {
    for (const name of ["deno.json", "deno.jsonc"]) {
      const config = `${path.slice(0, end)}/${name}`;
      try {
        if (Deno.statSync(config).isFile) return config;
      } catch {
        // Further up.
      }
    }
    if (end === 0) break;
  }
  return null;
}

async function denoInfo(path: string, config: string | null): Promise<DenoInfo> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-lock", ...config ? [`--config=${config}`] : [], path],
    cwd: path.slice(0, path.lastIndexOf("/")) || "/",
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output().catch(() => {
    throw unreadable(path, "Module not found");
  });
  if (!success) throw wrong(path, new TextDecoder().decode(stderr).trim().replace(/^error: /, ""));
  return JSON.parse(new TextDecoder().decode(stdout));
}
