/** A byte source whose next bytes can be looked at, so that its reader can change in between. Used by `tool_talk.ts`. */
import type { ByteSource } from "../core/host.ts";

export interface PeekableSource extends ByteSource {
  /** What `read` will give; waiting for it takes nothing away. */
  peek(): Promise<Uint8Array | null>;
  /** Puts `bytes`, not empty, before all that has not been read. Not while a `peek` is pending. */
  unread(bytes: Uint8Array): void;
}

export function peekable(source: ByteSource): PeekableSource {
  let next: Promise<Uint8Array | null> | null = null;
  return {
    peek: () => next ??= source.read(),
    read() {
      const now = next ?? source.read();
      next = null;
      return now;
    },
    unread: (bytes) => next = Promise.resolve(bytes),
    cancel: () => source.cancel(),
  };
}
