/**
 * Temporary directories of the tests. All of one test process lie in one base directory, so that the
 * leak check finds what belongs to it; the base goes when the process ends.
 */

const base = Deno.makeTempDirSync({ prefix: "hf-" });
Deno.chmodSync(base, 0o755); // accounts of the tests read keys and tools below it
globalThis.addEventListener("unload", () => {
  try {
    Deno.removeSync(base, { recursive: true });
  } catch {
    // Somebody else's leftovers must not turn a passed run into a crash.
  }
});

const live = new Set<string>();

/** The directory above every {@linkcode tempDir} of this process; its path is short and unique. */
export function tempBase(): string {
  return base;
}

/** The directories made by {@linkcode tempDir} and not yet disposed of. */
export function liveTempDirs(): string[] {
  return [...live];
}

/** A directory that exists until it is disposed of. */
export interface TempDir extends AsyncDisposable {
  readonly path: string;
  /** The path of `name` inside. */
  join(name: string): string;
}

/** Makes an empty directory with the given mode (default 0700). */
export async function tempDir({ mode = 0o700 }: { mode?: number } = {}): Promise<TempDir> {
  const path = await Deno.makeTempDir({ dir: base, prefix: "" });
  await Deno.chmod(path, mode);
  live.add(path);
  return {
    path,
    join: (name) => `${path}/${name}`,
    async [Symbol.asyncDispose]() {
      if (!live.has(path)) return;
      await Deno.remove(path, { recursive: true });
      live.delete(path);
    },
  };
}
