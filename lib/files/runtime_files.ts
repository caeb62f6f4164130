/** What a runtime provides for `quick_files.ts`: implemented in `quick_files_deno.ts` and `quick_files_node.ts`. */
import type { FileInfo } from "../core/host.ts";

/** What is at a path, links not followed. */
export interface Found extends FileInfo {
  /** What a directory has in it. */
  names?: string[];
  /** Where a symlink leads. */
  target?: string;
  /** The whole of a file that is small and not empty. */
  content?: Uint8Array;
}

export interface Attributes {
  /** Permission bits with set-id and sticky bits; null: 0666 less the umask. */
  mode: number | null;
  /** Milliseconds since the epoch; null: now. */
  mtime: number | null;
}

/** A file with all its content, which is not durable yet. Has to be closed. */
export interface Written {
  sync(): Promise<void>;
  close(): void;
}

/** What a runtime provides. Both throw `HoldfastError`. */
export interface RuntimeFiles {
  /** Reads at most `limit` bytes of content; nothing of a file that claims to be empty, it may block. */
  look(path: string, limit: number): Found;
  /** Creates a file that must not exist. */
  write(path: string, content: Uint8Array, attributes: Attributes): Written;
}
