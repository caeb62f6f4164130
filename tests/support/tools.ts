/**
 * Programs of the machine and the JavaScript runtimes that test accounts are given. Runtimes are
 * linked or copied once into a directory that every user can read: our own may lie below /root.
 */

/** A JavaScript runtime that a target may have. `node18` is the oldest node that the core must run on. */
export type Runtime = "deno" | "node" | "node18" | "bun";

/** What a runtime's program is called, and the core's name for it. */
export function programOf(runtime: Runtime): Exclude<Runtime, "node18"> {
  return runtime === "node18" ? "node" : runtime;
}

/** Directories looked through besides PATH: where distributions and installers put programs. */
const USUAL_DIRECTORIES = [
  "/usr/local/sbin",
  "/usr/local/bin",
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
  "/snap/bin",
  "/opt/bin",
];

/** `scripts/setup.sh` uses the same directory. */
const TOOLS = Deno.env.get("HOLDFAST_TEST_TOOLS") ??
  `/var/tmp/holdfast-test-tools-${Deno.build.os === "windows" ? 0 : Deno.uid()}`;

/** The directory of the tests' tools: ours alone to write, everybody's to read. */
export function toolsDir(): string {
  Deno.mkdirSync(TOOLS, { recursive: true, mode: 0o755 });
  const info = Deno.lstatSync(TOOLS);
  if (!info.isDirectory || info.uid !== Deno.uid() || (info.mode! & 0o022) !== 0) {
    throw new Error(`Cannot use "${TOOLS}": not a directory that only we can write`);
  }
  return TOOLS;
}

/** What `scripts/setup.sh` fetches. */
const FETCHED: Record<string, string> = {
  bun: `${TOOLS}/bun/bin/bun`,
  node18: `${TOOLS}/node18/bin/node`,
};

/** The path of a program on PATH or in the usual directories. */
export function findExecutable(name: string): string | undefined {
  if (name in FETCHED && isExecutable(FETCHED[name])) return FETCHED[name];
  return searchPath().map((dir) => `${dir}/${name}`).find(isExecutable);
}

/**
 * The path of a runtime's executable that every user may run; made on first use, below
 * {@linkcode toolsDir}. Throws when the machine lacks it: ask `has("bun")` first.
 */
export function sharedRuntime(runtime: Runtime): string {
  const origin = runtime === "deno" ? Deno.execPath() : findExecutable(runtime);
  if (!origin) throw new Error(`Cannot share "${runtime}": not installed`);
  const source = Deno.realPathSync(origin);
  const { size, mode } = Deno.statSync(source);
  const shared = `${toolsDir()}/${runtime}-${size}`; // another build has another size
  if (isExecutable(shared)) return shared;
  const fresh = `${shared}.${crypto.randomUUID()}`;
  try {
    if ((mode! & 0o005) !== 0o005) throw new Error("a link shares the file's mode");
    Deno.linkSync(source, fresh); // another name of the same file is not hidden with the first
  } catch {
    Deno.copyFileSync(source, fresh);
    Deno.chmodSync(fresh, 0o755);
  }
  Deno.renameSync(fresh, shared);
  return shared;
}

/** PATH, completed by the usual directories. */
export function searchPath(): string[] {
  const own = (Deno.env.get("PATH") ?? "").split(":").filter((dir) => dir.startsWith("/"));
  return [...new Set([...own, ...USUAL_DIRECTORIES])];
}

function isExecutable(path: string): boolean {
  try {
    const info = Deno.statSync(path);
    return info.isFile && (info.mode! & 0o111) !== 0;
  } catch {
    return false;
  }
}
