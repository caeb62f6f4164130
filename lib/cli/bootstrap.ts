/**
 * `holdfast bootstrap`: becomes a context on its standard streams, with the core that is built in. A parent starts it
 * where it has put the program (`parent/provision.ts`), and then sends no core of its own.
 */
import { COMMON_OPTIONS, type OptionTable, parseOptions } from "./options.ts";

export const usage = "holdfast bootstrap [TITLE]";

export const options = { ...COMMON_OPTIONS } satisfies OptionTable;

/** The core ends this process when its parent does. TITLE is for `ps`. */
export async function run(args: string[]): Promise<number> {
  await parseOptions(args, options);
  const { coreSource } = await import("../sources/core_source.ts");
  const { compressed } = await coreSource();
  const inflate = async (bytes: Uint8Array): Promise<string> => {
    const inflated = new Blob([bytes as BlobPart]).stream()
      .pipeThrough(new DecompressionStream("deflate-raw"));
    return await new Response(inflated).text();
  };
  // As a first stage leaves it (`parent/first_stage.ts`).
  Object.assign(globalThis, { holdfast: { core: compressed, inflate } });
  (0, eval)(await inflate(compressed));
  return await new Promise(() => {});
}
