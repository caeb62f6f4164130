/**
 * Checks who imports whom: the table of `lib/README.md`, no cycles, a client path that loads nothing
 * of node's or npm's, and nothing unknown at the top level. Prints one line per violation.
 *
 *     deno run -A scripts/check_imports.ts [ROOT]
 */

/** What the user waits for at every command: its static closure stays free of `node:` and `npm:`. */
const CLIENT_PATH = ["main.ts", "lib/cli/exec.ts", "lib/dropin/ssh_command.ts"];

/** Entries that may stand at the top level, besides dot-files. */
const TOP_LEVEL = new Set([
  "deno.json",
  "deno.lock",
  "main.ts",
  "lib",
  "tests",
  "scripts",
  "README.md",
  "LICENSE",
  "CHANGELOG.md",
  "dist",
]);

/** Rooms that also run, as shipped source, where nothing but themselves can be loaded. */
const SHIPPED = ["core", "files", "calls", "parent"];

/** Small packages that are compiled into what is shipped. */
const COMPILED_IN = /^npm:xxhash-wasm@/;

/** One import: `from` and `to` are paths below the root, or `to` is an external specifier. */
interface Edge {
  readonly from: string;
  readonly to: string;
  readonly kind: "static" | "type" | "dynamic";
}

/** Every violation below `root`, sorted, one line each; empty when all is well. */
export async function checkImports(root: string): Promise<string[]> {
  root = await Deno.realPath(root);
  const files = ["main.ts", "lib", "tests", "scripts"].flatMap((entry) => sourcesIn(root, entry));
  const edges = await readGraph(root, files);
  const table = parseTable(await Deno.readTextFile(`${root}/lib/README.md`));
  return [
    ...checkTopLevel(root),
    ...checkRooms(files, edges, table),
    ...checkLiterals(root, files),
    ...checkCycles(edges),
    ...checkClientPath(files, edges),
  ].sort();
}

/** Reads the rooms' rows: room to rooms it may import, itself included. */
export function parseTable(markdown: string): Map<string, Set<string>> {
  const table = new Map<string, Set<string>>();
  for (const [, room, allowed] of markdown.matchAll(/^\| `(\w+)\/` *\|.*\| *([^|]+?) *\|$/gm)) {
    const words = allowed.match(/\w+/g) ?? [];
    const rooms = allowed === "all of the above"
      ? [...table.keys()]
      : words.filter((word) => table.has(word));
    if (allowed !== "nothing outside itself" && allowed !== "all of the above") {
      const unknown = words.find((word) => !table.has(word));
      if (unknown) throw new Error(`Cannot read lib/README.md: room "${room}" names "${unknown}"`);
    }
    table.set(room, new Set([room, ...allowed === "nothing outside itself" ? [] : rooms]));
  }
  if (table.size === 0) throw new Error("Cannot read lib/README.md: no table of rooms");
  return table;
}

function checkTopLevel(root: string): string[] {
  return [...Deno.readDirSync(root)]
    .filter(({ name }) => !name.startsWith(".") && !TOP_LEVEL.has(name))
    .map(({ name }) => `${name}: stands at the top level, where only known entries may`);
}

function checkRooms(files: string[], edges: Edge[], table: Map<string, Set<string>>): string[] {
  const violations: string[] = [];
  for (const file of files) {
    const room = roomOf(file);
    if (room && room !== "main" && !table.has(room)) {
      violations.push(`${file}: lies in room ${room}, which lib/README.md does not have`);
    }
  }
  for (const { from, to, kind } of edges) {
    const room = roomOf(from);
    if (!room) continue; // tests and scripts may import anything
    if (isExternal(to)) {
      const fine = kind === "type" || to.startsWith("node:") || COMPILED_IN.test(to);
      if (SHIPPED.includes(room) && !fine) {
        violations.push(`${from}: imports ${to}, which room ${room} may not`);
      }
      continue;
    }
    const target = roomOf(to);
    const allowed = room === "main"
      ? new Set(["main", "cli", ...table.get("cli") ?? []])
      : table.get(room) ?? new Set();
    const byLiteral = kind === "dynamic" && !SHIPPED.includes(room) && target !== undefined;
    if (!byLiteral && !(target && allowed.has(target))) {
      violations.push(`${from}: imports ${to}, which room ${room} may not`);
    }
  }
  return [...new Set(violations)];
}

/** Outside the shipped rooms a dynamic import must name its module, or nothing here could see it. */
function checkLiterals(root: string, files: string[]): string[] {
  return files.filter((file) => {
    const room = roomOf(file);
    if (!room || SHIPPED.includes(room)) return false;
    const code = Deno.readTextFileSync(`${root}/${file}`)
      .replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
    return /(?<![\w.$"'`])import\s*\(\s*(?!["'\s])/.test(code);
  }).map((file) => `${file}: imports what is no string literal, which only shipped rooms may`);
}

/** Reports each cycle of static and type imports once, by one shortest way round it. */
function checkCycles(edges: Edge[]): string[] {
  const next = adjacency(edges.filter((edge) => edge.kind !== "dynamic" && !isExternal(edge.to)));
  const violations: string[] = [];
  const seen = new Set<string>();
  for (const start of [...next.keys()].sort()) {
    if (seen.has(start)) continue;
    const way = findWay(next, start, (file) => file === start);
    if (!way) continue;
    way.forEach((file) => seen.add(file));
    violations.push(`${start}: imports itself by way of ${way.slice(1).join(" → ")}`);
  }
  return violations;
}

function checkClientPath(files: string[], edges: Edge[]): string[] {
  const next = adjacency(edges.filter((edge) => edge.kind === "static"));
  const violations: string[] = [];
  for (const start of CLIENT_PATH) {
    if (!files.includes(start)) {
      violations.push(`${start}: is missing, but the client path is checked from it`);
      continue;
    }
    const way = findWay(next, start, isExternal);
    if (!way) continue;
    const [to, from] = way.toReversed();
    const via = from === start ? "" : ` by way of ${way.slice(1, -1).join(" → ")}`;
    violations.push(`${start}: loads ${to}${via}, which the client path may not`);
  }
  return violations;
}

/** The shortest way from `start` over at least one edge to what `isGoal`, both ends included. */
function findWay(
  next: Map<string, string[]>,
  start: string,
  isGoal: (file: string) => boolean,
): string[] | undefined {
  const ways = [[start]];
  const seen = new Set<string>();
  for (const way of ways) { // grows while we go
    for (const to of next.get(way.at(-1)!) ?? []) {
      if (isGoal(to)) return [...way, to];
      if (!seen.has(to)) ways.push([...way, to]);
      seen.add(to);
    }
  }
}

function adjacency(edges: Edge[]): Map<string, string[]> {
  const next = new Map<string, string[]>();
  for (const { from, to } of edges) next.set(from, [...next.get(from) ?? [], to]);
  return next;
}

function isExternal(to: string): boolean {
  return /^[a-z]+:/.test(to);
}

/** The room of a file of lib/, `main` for main.ts, undefined for what is in no room. */
function roomOf(file: string): string | undefined {
  if (file === "main.ts") return "main";
  return /^lib\/(\w+)\//.exec(file)?.[1];
}

function sourcesIn(root: string, path: string): string[] {
  const info = statOrNothing(`${root}/${path}`);
  if (!info) return [];
  if (info.isFile) return /\.(ts|js|mjs)$/.test(path) && !path.endsWith(".d.ts") ? [path] : [];
  return [...Deno.readDirSync(`${root}/${path}`)]
    .flatMap(({ name }) => sourcesIn(root, `${path}/${name}`));
}

function statOrNothing(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}

/** The parts of `deno info --json` that we read. */
interface DenoInfo {
  modules: {
    specifier: string;
    error?: string;
    dependencies?: {
      specifier: string;
      code?: { specifier?: string; error?: string };
      type?: { specifier?: string };
      isDynamic?: boolean;
    }[];
  }[];
}

/** Asks Deno for the graph of all files at once, through an entry file that imports them all. */
async function readGraph(root: string, files: string[]): Promise<Edge[]> {
  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  let info: DenoInfo;
  try {
    const imports = files.map((file) => `import ${JSON.stringify(urlOf(`${root}/${file}`))};\n`);
    await Deno.writeTextFile(entry, imports.join(""));
    const config = statOrNothing(`${root}/deno.json`)
      ? ["--config", `${root}/deno.json`]
      : ["--no-config"];
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--no-lock", ...config, entry],
      stdin: "null",
    }).output();
    if (!success) throw new Error(`Cannot read imports: ${new TextDecoder().decode(stderr)}`);
    info = JSON.parse(new TextDecoder().decode(stdout));
  } finally {
    await Deno.remove(entry);
  }
  const prefix = urlOf(`${root}/`);
  const shorten = (specifier: string) =>
    specifier.startsWith(prefix) ? decodeURI(specifier.slice(prefix.length)) : specifier;
  const wanted = new Set(files);
  return info.modules.flatMap(({ specifier, dependencies = [] }) => {
    const from = shorten(specifier);
    if (!wanted.has(from)) return [];
    return dependencies.flatMap(({ specifier: written, code, type, isDynamic }): Edge[] => [
      ...code
        ? [{
          from,
          to: shorten(code.specifier ?? `unresolved:${written}`),
          kind: isDynamic ? "dynamic" as const : "static" as const,
        }]
        : [],
      ...type?.specifier ? [{ from, to: shorten(type.specifier), kind: "type" as const }] : [],
    ]);
  });
}

function urlOf(path: string): string {
  return new URL(`file://${encodeURI(path)}`).href;
}

if (import.meta.main) {
  const violations = await checkImports(Deno.args[0] ?? new URL("..", import.meta.url).pathname);
  for (const violation of violations) console.error(violation);
  if (violations.length > 0) Deno.exit(1);
  console.log("imports: as lib/README.md says");
}
