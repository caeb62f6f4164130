/**
 * Makes modules that travel of files on this machine, for calls of their functions in contexts: one module for each
 * file, one for each package. Owned by the daemon's tree.
 */
import { HoldfastError } from "../core/errors.ts";
import { hex } from "../core/greeting.ts";
import type { Module } from "../core/importer.ts";
import { LIMITS } from "../core/limits.ts";
import { compress } from "./bundle_script.ts";
import type { CompileJob, CompileOutcome } from "./compile_worker.ts";
import { type Import, type ModuleGraph, readModuleGraph, unreadable } from "./module_graph.ts";
import { SourcePositions } from "./source_positions.ts";

/** Bytes of a frame that a module's head may take. */
const HEAD = 64 * 1024;

/** A place in a module, as stacks of the runtimes write it. Bounded: the text is a peer's. */
const PLACE = /([\w.-]{1,80}@[0-9a-f]{16})(?:, <anonymous>)?:(\d+):(\d+)/;
const PLACES = new RegExp(PLACE, "g");

/** A file or package of the graph, compiled. */
interface Part {
  /** A path, or a package's specifier. */
  name: string;
  script: string;
  map: string | null;
  imports: { specifier: string; to: Import }[];
}

interface Entry {
  id: string;
  /** Files that it was made of, as they were then. */
  made: Map<string, string>;
}

/**
 * - Warm: a file is compiled again only when it, or one that it imports, has changed (time, size or inode).
 * - Joined: one compilation for all who ask at the same time.
 */
export class ModuleCompiler {
  readonly #modules: Map<string, Module> = new Map();
  readonly #positions: Map<string, { url: string; positions: SourcePositions }> = new Map();
  readonly #entries: Map<string, Entry> = new Map();
  readonly #running: Map<string, Promise<string>> = new Map();

  /**
   * Compiles a file (a `file:` URL or an absolute path) with all that it imports; resolves with its module's id.
   * Rejects with `usage`, naming file, line and column, for what does not compile, `not_found` for what is not there.
   */
  async compile(url: string): Promise<string> {
    const path = pathOf(url);
    const known = this.#entries.get(path);
    if (known && [...known.made].every(([path, state]) => stateOf(path) === state)) return known.id;
    let running = this.#running.get(path);
    if (!running) {
      running = this.#compile(path).finally(() => this.#running.delete(path));
      this.#running.set(path, running);
    }
    return await running;
  }

  /** A module that was compiled. */
  async find(id: string): Promise<Module> {
    const module = this.#modules.get(id);
    if (module) return module;
    throw new HoldfastError("not_found", `there is no module ${JSON.stringify(id)}`);
  }

  /** Puts the places in sources into a stack that names modules by their ids, and cuts what lies below them. */
  locate(stack: string): string {
    const lines = stack.split("\n");
    const last = lines.findLastIndex((line) => PLACE.test(line));
    if (last < 0) return stack;
    return lines.slice(0, last + 1).join("\n").replace(PLACES, (text, id, line, column) => {
      const found = this.#positions.get(id);
      const place = found?.positions.find({ line: Number(line), column: Number(column) });
      return place ? `${found!.url}:${place.line}:${place.column}` : text;
    });
  }

  async #compile(path: string): Promise<string> {
    const before = stateOf(path);
    const graph = await readModuleGraph(path);
    // What changes from here on is compiled again the next time.
    const made = new Map([...graph.files.keys()].map((path) => [path, stateOf(path)]));
    if (made.get(path) !== before) made.set(path, before);
    if (graph.config) made.set(graph.config, stateOf(graph.config));
    const parts = await compileParts(graph);
    const ids = await idsOf(parts);
    for (const part of parts.values()) await this.#add(part, parts, ids);
    const id = ids.get(path)!;
    this.#entries.set(path, { id, made });
    return id;
  }

  async #add(part: Part, parts: Map<string, Part>, ids: Map<string, string>): Promise<void> {
    const id = ids.get(part.name)!;
    if (this.#modules.has(id)) return;
    const requires: Record<string, string> = {};
    for (const { specifier, to } of part.imports) {
      requires[specifier] = to.kind === "builtin" ? to.name : ids.get(nameOf(to))!;
    }
    const needs = closureOf(part, parts).filter((each) => each !== part).map(({ name }) =>
      ids.get(name)!
    );
    const script = new TextEncoder().encode(`${part.script}\n//# sourceURL=${id}`);
    const source = await compress(script);
    if (script.length > LIMITS.source || source.length > LIMITS.framePayload - HEAD) {
      const size = `${script.length} bytes, ${source.length} compressed`;
      throw new HoldfastError("limit", `Cannot send module ${JSON.stringify(part.name)}: ${size}`);
    }
    this.#modules.set(id, { id, needs, requires, source });
    if (part.map) {
      const url = `file://${encodeURI(part.name)}`;
      this.#positions.set(id, { url, positions: new SourcePositions(part.map) });
    }
  }
}

function pathOf(url: string): string {
  try {
    if (url.startsWith("/")) return url;
    const { protocol, pathname } = new URL(url);
    if (protocol === "file:") return decodeURIComponent(pathname);
  } catch {
    // Told below.
  }
  throw new HoldfastError(
    "usage",
    `Cannot compile ${JSON.stringify(url)}: it is no file; pass new URL("./FILE", import.meta.url)`,
  );
}

function stateOf(path: string): string {
  try {
    const { mtime, size, ino, dev } = Deno.statSync(path);
    return [mtime?.getTime(), size, ino, dev].join();
  } catch {
    return "gone";
  }
}

function nameOf(to: Exclude<Import, { kind: "builtin" }>): string {
  return to.kind === "file" ? to.path : to.specifier;
}

async function compileParts({ files, packages, config }: ModuleGraph): Promise<Map<string, Part>> {
  const scripts = [...files.values()].filter(({ isJson }) => !isJson);
  const outcome = await runWorker({
    files: scripts.map(({ path, imports }) => ({
      path,
      external: imports.map(({ specifier }) => specifier),
    })),
    packages: [...packages],
  }, config);
  const parts = new Map<string, Part>();
  for (const { path, isJson } of files.values()) {
    if (!isJson) continue;
    const content = await Deno.readTextFile(path);
    try {
      JSON.parse(content);
    } catch (error) {
      throw unreadable(path, (error as Error).message);
    }
    const script = `exports.__esModule=true;exports.default=JSON.parse(${JSON.stringify(content)})`;
    parts.set(path, { name: path, script, map: null, imports: [] });
  }
  for (const [index, { path, imports }] of scripts.entries()) {
    const { script, map } = compiled(path, outcome.files[index]);
    const dynamic = imports.map(({ specifier }) => JSON.stringify(specifier));
    // What it imports for the sake of types alone has left no trace in the script.
    const used = imports.filter(({ specifier }) => script.includes(JSON.stringify(specifier)));
    parts.set(path, { name: path, script: adapt(script, dynamic), map, imports: used });
  }
  for (const [index, name] of [...packages].entries()) {
    const { script } = compiled(name, outcome.packages[index]);
    parts.set(name, { name, script, map: null, imports: [] });
  }
  return parts;
}

function compiled<T>(name: string, outcome: T | string): T {
  if (typeof outcome !== "string") return outcome;
  throw unreadable(name, outcome);
}

/**
 * Within one script everything that it imports is external to the compiler, which leaves dynamic imports as they are
 * and takes the default of a CommonJS module to be the whole of it. Lines and columns before them stay.
 */
function adapt(script: string, specifiers: string[]): string {
  let adapted = script.replace(
    '1 ? __defProp(target, "default"',
    '!mod || !mod.__esModule ? __defProp(target, "default"',
  );
  for (const specifier of specifiers) {
    adapted = adapted.replaceAll(
      `import(${specifier})`,
      `Promise.resolve().then(()=>require(${specifier}))`,
    );
  }
  return adapted;
}

async function runWorker(job: CompileJob, config: string | null): Promise<CompileOutcome> {
  const worker = decodeURIComponent(new URL("compile_worker.ts", import.meta.url).pathname);
  const options = config ? `--config=${config}` : "--no-config";
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", "--no-lock", "--unstable-bundle", options, worker],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const input = new Blob([JSON.stringify(job)]).stream().pipeTo(process.stdin).catch(() => {});
  const { success, stdout, stderr } = await process.output();
  await input;
  if (success) return JSON.parse(new TextDecoder().decode(stdout));
  const said = new TextDecoder().decode(stderr).trim().slice(-500);
  throw new HoldfastError("internal", `Cannot compile: the compiler failed: ${said}`);
}

/** Everything that a part needs at run time, dependencies first, itself last; circles are cut where they close. */
function closureOf(part: Part, parts: Map<string, Part>): Part[] {
  const order: Part[] = [];
  const seen = new Set<Part>();
  const visit = (part: Part): void => {
    if (seen.has(part)) return;
    seen.add(part);
    for (const { to } of part.imports) if (to.kind !== "builtin") visit(parts.get(nameOf(to))!);
    order.push(part);
  };
  visit(part);
  return order;
}

/** By name. An id holds for all that the part leads to: what it needs has other ids when it changes. */
async function idsOf(parts: Map<string, Part>): Promise<Map<string, string>> {
  const digests = new Map<Part, string>();
  for (const part of parts.values()) {
    const leads = part.imports.map(({ specifier, to }) => [specifier, to]);
    digests.set(part, await digest(JSON.stringify([part.name, part.script, leads])));
  }
  const ids = new Map<string, string>();
  for (const part of parts.values()) {
    const all = closureOf(part, parts).map((each) => digests.get(each)!).sort();
    const readable = part.name.replace(/\/+$/, "").replace(/^(.*\/|npm:)/, "");
    const id = await digest(digests.get(part)! + all.join());
    ids.set(part.name, `${readable.replace(/[^\w.-]/g, "_").slice(-60)}@${id.slice(0, 16)}`);
  }
  return ids;
}

async function digest(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}
