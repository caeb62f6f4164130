/** One file of a tree on its way to the disk; for `tree_receiver.ts`. */
import { ContentDigest } from "./content_digest.ts";
import { HoldfastError } from "../core/errors.ts";
import type { Host } from "../core/host.ts";
import type { QuickFiles } from "./quick_files.ts";
import type { Attributes } from "./runtime_files.ts";
import { DATA, END_OF_FILE, malformed, type TreeRecord } from "./tree_format.ts";

/** The next block of a file, null at its end. */
export type Blocks = () => Promise<Uint8Array | null>;

/** The blocks among `records`, each told to `count`, and an error (`corrupt`) where they are not what was sent. */
export function verified(
  path: string,
  records: () => Promise<TreeRecord>,
  count: (block: Uint8Array) => void = () => {},
): Blocks {
  let digest: ContentDigest | null = null;
  return async () => {
    digest ??= await ContentDigest.begin();
    const { type, payload } = await records();
    if (type === DATA) {
      digest.update(payload);
      count(payload);
      return payload;
    }
    if (type !== END_OF_FILE) throw malformed();
    if (digest.matches(payload)) return null;
    const text = `Cannot write ${JSON.stringify(path)}: its content was damaged on the way`;
    throw new HoldfastError("corrupt", text);
  };
}

export interface WriteOptions extends Attributes {
  host: Host;
  /** The quick way to the file, where there is one. */
  quick: QuickFiles;
  blocks: Blocks;
}

/** Creates a file that must not exist; resolves when it is durable. The next block arrives while one is written. */
export async function writeBlocks(path: string, options: WriteOptions): Promise<void> {
  const { host, quick, blocks, mode, mtime } = options;
  const file = quick.open(await host.create(path, mode === null ? undefined : mode & 0o777));
  let busy: Promise<void> = Promise.resolve();
  try {
    for (let block = await blocks(); block; block = await blocks()) {
      await busy;
      busy = file.write(block);
      busy.catch(() => {});
    }
    await busy;
    // Writing takes set-id bits away.
    if (mode !== null && mode & 0o7000) await host.chmod(path, mode);
    if (mtime !== null) await host.setTime(path, mtime);
    await file.sync();
  } finally {
    await busy.catch(() => {});
    await file.close();
  }
}
