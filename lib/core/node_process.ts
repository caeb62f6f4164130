/** node's `process`, which Deno has as well, but makes only when it is first looked at: that takes it 20 ms. */

export function nodeProcess(): typeof import("node:process") {
  return (globalThis as unknown as { process: typeof import("node:process") }).process;
}
