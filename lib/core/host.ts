/**
 * What the core needs from the machine that it runs on, so that services name no runtime.
 * Implemented by `host_deno.ts`, `host_node.ts` (node and bun) and, for direct targets,
 * `master/direct_host.ts` (SSH channels and SFTP). Every method rejects with `HoldfastError`.
 */

/** Where bytes come from. */
export interface ByteSource {
  /** The next bytes (never empty), or null at the end. The array belongs to the caller. */
  read(): Promise<Uint8Array | null>;
  /** Gives up reading; idempotent. A pending `read` resolves with null. */
  cancel(): void;
}

/** Where bytes go. */
export interface ByteSink {
  /** Resolves when all bytes are taken and the sink can take more. Callers never overlap two writes. */
  write(bytes: Uint8Array): Promise<void>;
  /** No more bytes follow; idempotent. */
  close(): Promise<void>;
}

/** A duplex byte pipe, what a link runs over. */
export interface Transport {
  /** The next bytes (never empty), or null at the end. The array belongs to the caller. */
  read(): Promise<Uint8Array | null>;
  /** Resolves when all bytes are taken and the transport can take more. Callers never overlap two writes. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends both directions and frees what lies below; idempotent. A pending `read` resolves with null. */
  close(): void;
}

/** How a process ended: an exit code, or the name of the signal that killed it (`"SIGTERM"`). */
export type ExitStatus = { code: number; signal: null } | { code: null; signal: string };

export interface Child {
  /** Process id, or 0 where it cannot be known (direct targets). */
  readonly pid: number;
  readonly stdin: ByteSink;
  readonly stdout: ByteSource;
  readonly stderr: ByteSource;
  /** Resolves when the process has ended; its output may still be arriving. */
  readonly exit: Promise<ExitStatus>;
  /** Signals the whole process group (`"SIGTERM"`); no error if it is gone. */
  kill(signal: string): void;
  /** Whether the process or another one of its group is still there; false where that cannot be known. */
  isAlive(): boolean | Promise<boolean>;
  /** Tells the terminal its new size; without a terminal it does nothing. */
  resize(size: TerminalSize): void;
}

export interface TerminalSize {
  columns: number;
  rows: number;
}

export interface SpawnOptions {
  /** A command line for the user's login shell, or the exact words of a program. */
  command: string | readonly string[];
  /** Working directory; the user's home when absent. */
  cwd?: string;
  /** Added to the environment. */
  env?: Record<string, string>;
  /** Gives the process a terminal of this kind and size; stderr then arrives on stdout. */
  terminal?: TerminalSize & { term: string };
}

export type FileType = "file" | "directory" | "symlink" | "other";

export interface FileInfo {
  type: FileType;
  /** Permission bits with set-id and sticky bits, 0 to 0o7777. */
  mode: number;
  /** Bytes. */
  size: number;
  /** Milliseconds since the epoch, with fractions where the host has them. */
  mtime: number;
}

export interface OpenFile {
  /** Reads up to `buffer.length` bytes at the file's position; null at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes all of `bytes` at the file's position. */
  write(bytes: Uint8Array): Promise<void>;
  /** Makes the content durable. */
  sync(): Promise<void>;
  close(): Promise<void>;
  /** The same without a thread in between, which holds up all else that runs here; absent where there is no such way. */
  readonly now?: OpenFileNow;
}

export interface OpenFileNow {
  read(buffer: Uint8Array): number | null;
  write(bytes: Uint8Array): void;
}

/** What every context needs of its machine. Relative paths are relative to the user's home. */
export interface ProcessHost {
  readonly runtime: "deno" | "node" | "bun" | "direct";
  /** The runtime's program; null on a direct target. */
  readonly runtimePath: string | null;
  /** The user's login shell, which runs command lines; null where it cannot be known. */
  readonly shell: string | null;
  spawn(options: SpawnOptions): Promise<Child>;
  home(): string;
}

/** Files too: what transfers need. */
export interface Host extends ProcessHost {
  stat(path: string): Promise<FileInfo>;
  lstat(path: string): Promise<FileInfo>;
  /** Names, unsorted, without `.` and `..`. */
  readDir(path: string): Promise<string[]>;
  readLink(path: string): Promise<string>;
  symlink(target: string, path: string): Promise<void>;
  /** Fails with kind `io` when it exists. */
  mkdir(path: string, mode: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, a symlink or an empty directory. */
  remove(path: string): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  /** Sets access and modification time, both to `mtime` (milliseconds since the epoch). */
  setTime(path: string, mtime: number): Promise<void>;
  openRead(path: string): Promise<OpenFile>;
  /** Creates a file that must not exist (O_EXCL), with exactly `mode`, or with 0666 less the umask. */
  create(path: string, mode?: number): Promise<OpenFile>;
}
