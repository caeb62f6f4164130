/** One SFTP client's open files and directories, and its paths. What the requests in `sftp_requests.ts` work on. */
import { builtin } from "../core/builtin.ts";
import { AccountNames } from "./account_names.ts";
import { OPEN, type PacketReader, STATUS } from "./sftp_packets.ts";

type Fs = typeof import("node:fs");
type FileHandle = import("node:fs/promises").FileHandle;

/** Files and directories that one client may have open. */
export const MAX_HANDLES = 1024;

/** Why a request is not carried out; any other failure is the operating system's. */
export class Refusal extends Error {
  /** One of `STATUS`. */
  readonly status: number;

  constructor(status: number) {
    super(`SFTP status ${status}`);
    this.status = status;
  }
}

/** A directory that is being read; `at` counts the names that were told. */
export interface OpenDirectory {
  path: Uint8Array;
  names: Uint8Array[];
  at: number;
}

export interface SftpOptions {
  /** Relative paths are relative to it. */
  home: string;
  /** The runtime knows no names of files that are not UTF-8: they are refused, as it would take others in their place. */
  onlyUtf8: boolean;
}

/** As `fs` takes it: bytes where the runtime takes them, as names need not be UTF-8. */
export type Path = string | Buffer;

export class SftpSession {
  readonly fs: Fs["promises"];
  readonly home: string;
  readonly #constants: Fs["constants"];
  readonly #onlyUtf8: boolean;
  readonly #handles: Map<number, FileHandle | OpenDirectory> = new Map();
  #next = 0;
  #accounts: AccountNames | null = null;

  constructor({ home, onlyUtf8 }: SftpOptions) {
    const { promises, constants } = builtin("fs") as Fs;
    this.fs = promises;
    this.#constants = constants;
    this.home = home;
    this.#onlyUtf8 = onlyUtf8;
  }

  async accounts(): Promise<AccountNames> {
    return this.#accounts ??= await AccountNames.read(this.fs);
  }

  /** The next field of a packet, as a path. */
  path(packet: PacketReader): Path {
    return this.encode(this.absolute(packet.bytes()));
  }

  absolute(path: Uint8Array): Uint8Array {
    return path[0] === SLASH ? path : joinPath(new TextEncoder().encode(this.home), path);
  }

  /** Throws for what cannot be a name. */
  encode(name: Uint8Array): Path {
    if (name.includes(0)) throw new Refusal(STATUS.noSuchFile);
    if (!this.#onlyUtf8) {
      const { Buffer } = builtin("buffer") as typeof import("node:buffer");
      return Buffer.from(name.buffer, name.byteOffset, name.byteLength);
    }
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(name);
    } catch {
      throw new Refusal(STATUS.failure);
    }
  }

  /** `wish` is of the bits in `OPEN`. Resolves with the handle's number. */
  async openFile(path: Path, { wish, mode }: { wish: number; mode: number }): Promise<number> {
    this.#checkRoom();
    const { O_RDONLY, O_WRONLY, O_RDWR, ...flag } = this.#constants;
    let flags = wish & OPEN.write ? wish & OPEN.read ? O_RDWR : O_WRONLY : O_RDONLY;
    if (wish & OPEN.append) flags |= flag.O_APPEND;
    if (wish & OPEN.create) flags |= flag.O_CREAT;
    if (wish & OPEN.truncate) flags |= flag.O_TRUNC;
    if (wish & OPEN.exclusive) flags |= flag.O_EXCL;
    // What is no file must not keep one of the runtime's few threads waiting.
    flags |= flag.O_NONBLOCK;
    return this.#keep(await this.fs.open(path, flags, mode));
  }

  async openDirectory(path: Uint8Array): Promise<number> {
    this.#checkRoom();
    const names = await this.fs.readdir(this.encode(path), { encoding: "buffer" });
    const own = [".", ".."].map((name) => new TextEncoder().encode(name));
    return this.#keep({ path, names: [...own, ...names], at: 0 });
  }

  /** The file whose handle is the next field of a packet. */
  file(packet: PacketReader): FileHandle {
    const handle = this.#handles.get(handleNumber(packet));
    if (!handle || "names" in handle) throw new Refusal(STATUS.failure);
    return handle;
  }

  directory(packet: PacketReader): OpenDirectory {
    const handle = this.#handles.get(handleNumber(packet));
    if (!handle || !("names" in handle)) throw new Refusal(STATUS.failure);
    return handle;
  }

  async closeHandle(packet: PacketReader): Promise<void> {
    const number = handleNumber(packet);
    const handle = this.#handles.get(number);
    if (!handle) throw new Refusal(STATUS.noSuchFile);
    this.#handles.delete(number);
    if (!("names" in handle)) await handle.close();
  }

  async close(): Promise<void> {
    for (const handle of this.#handles.values()) {
      if (!("names" in handle)) await handle.close().catch(() => {});
    }
    this.#handles.clear();
  }

  #checkRoom(): void {
    if (this.#handles.size >= MAX_HANDLES) throw new Refusal(STATUS.failure);
  }

  #keep(handle: FileHandle | OpenDirectory): number {
    this.#handles.set(this.#next, handle);
    return this.#next++;
  }
}

const SLASH = 0x2f;

export function joinPath(directory: Uint8Array, name: Uint8Array): Uint8Array {
  const path = new Uint8Array(directory.length + 1 + name.length);
  path.set(directory);
  path[directory.length] = SLASH;
  path.set(name, directory.length + 1);
  return path;
}

/** Ours are four bytes; -1 for one that is none of ours. */
function handleNumber(packet: PacketReader): number {
  const handle = packet.bytes();
  if (handle.length !== 4) return -1;
  return new DataView(handle.buffer, handle.byteOffset).getUint32(0);
}
