/** node's own modules, on every runtime, for code that is shipped as a script and has no imports. */

interface Globals {
  process: { getBuiltinModule?(name: string): unknown };
  /** What `node -e` defines; node 18 has nothing else. */
  require?(name: string): unknown;
}

/** The module `node:NAME`. On Deno the first use of one costs milliseconds. */
export function builtin(name: string): unknown {
  const { process, require } = globalThis as unknown as Globals;
  return process.getBuiltinModule?.(name) ?? require!(name);
}
