/**
 * The file half of the host interface over SFTP, for direct targets. Large files are read and written with many
 * requests under way, so that the round trip does not bound the rate. Used by `direct_host.ts`.
 */

import { Buffer } from "node:buffer";
import { type ErrorKind, HoldfastError } from "../core/errors.ts";
import type { FileInfo, Host, OpenFile } from "../core/host.ts";
import type { SFTPWrapper } from "./ssh2.ts";

/** Bytes of one read or write: what every server takes. */
const CHUNK = 32 * 1024;
/** Requests of one file that may be under way: 2 MiB, or 64 MiB/s at 30 ms of round trip. */
const OUTSTANDING = 64;

/** What a {@linkcode Host} does with files. Relative paths are relative to the home. */
export type SftpFiles = Pick<Host, FileMethod> & {
  home(): Promise<string>;
};

type FileMethod =
  | "stat"
  | "lstat"
  | "readDir"
  | "readLink"
  | "symlink"
  | "mkdir"
  | "rename"
  | "remove"
  | "chmod"
  | "setTime"
  | "openRead"
  | "create";

/** SFTP's status codes; the server's own text is no better than ours. */
const STATUS: Record<number, [kind: ErrorKind, text: string]> = {
  2: ["not_found", "no such file or directory"],
  3: ["permission", "permission denied"],
  4: ["io", "the server refused without a reason"],
  6: ["disconnected", "the SFTP session ended"],
  7: ["disconnected", "the SFTP session ended"],
  8: ["io", "the server cannot do this"],
};

type Callback<T> = (error?: Error | null, value?: T) => void;

/** Runs one request; rejects when the session ends before its answer, which ssh2 alone would not do. */
type Request = <T>(action: string, send: (done: Callback<T>) => void) => Promise<T>;

interface Stats {
  mode: number;
  size: number;
  mtime: number;
}

/** Makes the file methods of one SFTP session, whose end the caller watches. */
export function sftpFiles(sftp: SFTPWrapper): SftpFiles {
  const request = requester(sftp);
  const named = <T>(what: string, path: string, send: (path: string, done: Callback<T>) => void) =>
    request<T>(`${what} ${JSON.stringify(path)}`, (done) => send(path || ".", done));
  const info = async (path: string, send: (path: string, done: Callback<Stats>) => void) =>
    infoOf(await named<Stats>("look at", path, send));
  const lstat = (path: string) => info(path, (real, done) => sftp.lstat(real, done as never));

  return {
    home: () =>
      request<string>("find the home directory", (done) => sftp.realpath(".", done as never)),
    stat: (path) => info(path, (real, done) => sftp.stat(real, done as never)),
    lstat,
    async readDir(path) {
      const entries = await named<{ filename: string }[]>(
        "read directory",
        path,
        (real, done) => sftp.readdir(real, done as never),
      );
      return entries.map(({ filename }) => filename)
        .filter((name) => name !== "." && name !== "..");
    },
    readLink: (path) =>
      named<string>("read link", path, (real, done) => sftp.readlink(real, done as never)),
    symlink: (target, path) =>
      named("make link", path, (real, done) => sftp.symlink(target, real, done)),
    mkdir: (path, mode) =>
      named("make directory", path, (real, done) => sftp.mkdir(real, { mode } as never, done)),
    rename: (from, to) => rename(from, to),
    async remove(path) {
      const { type } = await lstat(path);
      await named<void>("remove", path, (real, done) => {
        if (type === "directory") sftp.rmdir(real, done);
        else sftp.unlink(real, done);
      });
    },
    chmod: (path, mode) => named("set mode of", path, (real, done) => sftp.chmod(real, mode, done)),
    setTime: (path, mtime) => {
      const seconds = Math.max(0, Math.floor(mtime / 1000));
      return named(
        "set time of",
        path,
        (real, done) => sftp.utimes(real, seconds, seconds, done),
      );
    },
    async openRead(path) {
      const handle = await named<Buffer>(
        "open",
        path,
        (real, done) => sftp.open(real, "r", done as never),
      );
      return new SftpFile(sftp, { handle, path, request });
    },
    async create(path, mode) {
      const attributes = mode === undefined ? {} : { mode };
      const handle = await named<Buffer>(
        "create",
        path,
        (real, done) => sftp.open(real, "wx", attributes as never, done as never),
      );
      return new SftpFile(sftp, { handle, path, request, mode });
    },
  };

  async function rename(from: string, to: string): Promise<void> {
    const plain = () => named<void>("replace", to, (real, done) => sftp.rename(from, real, done));
    try {
      return await named<void>(
        "replace",
        to,
        (real, done) => sftp.ext_openssh_rename(from, real, done),
      );
    } catch (error) {
      const found = await lstat(to).catch(() => null);
      if (found?.type === "directory") {
        throw new HoldfastError("io", `Cannot replace ${JSON.stringify(to)}: it is a directory`);
      }
      if (!isUnsupported(error)) throw error;
      // This server's rename refuses to replace: the old file has to go first.
      if (found) await named<void>("replace", to, (real, done) => sftp.unlink(real, done));
      return await plain();
    }
  }
}

function infoOf({ mode, size, mtime }: Stats): FileInfo {
  const kinds: Record<number, FileInfo["type"]> = {
    0o10: "file",
    0o04: "directory",
    0o12: "symlink",
  };
  return { type: kinds[mode >> 12] ?? "other", mode: mode & 0o7777, size, mtime: mtime * 1000 };
}

function requester(sftp: SFTPWrapper): Request {
  const waiting = new Set<(error: Error) => void>();
  let gone = false;
  const lost = () => Object.assign(new Error(), { code: 7 });
  sftp.once("close", () => {
    gone = true;
    for (const reject of waiting) reject(lost());
  });
  return async (action, send) => {
    try {
      return await new Promise((resolve, reject) => {
        if (gone) return reject(lost());
        waiting.add(reject);
        const settle = () => waiting.delete(reject);
        try {
          send((error, value) => {
            settle();
            if (!error) resolve(value as never);
            else reject("code" in error ? error : lost());
          });
        } catch (error) {
          settle();
          reject(error);
        }
      });
    } catch (error) {
      const { code, message } = error as { code?: number; message: string };
      const [kind, text] = STATUS[code ?? -1] ?? ["io", message];
      throw new HoldfastError(kind, `Cannot ${action}: ${text}`, { cause: error });
    }
  };
}

/** True when the request was not sent, or not understood: the server lacks the extension. */
function isUnsupported(error: unknown): boolean {
  const { code } = (error as Error).cause as { code?: unknown };
  return code === undefined || code === 8;
}

interface SftpFileOptions {
  handle: Buffer;
  path: string;
  request: Request;
  mode?: number;
}

/** A chunk that was asked for. */
interface Ahead {
  asked: number;
  bytes: Promise<Uint8Array | null>;
}

/**
 * One open file.
 *
 * - Reads ahead, up to {@linkcode OUTSTANDING} chunks; a file read at once is asked for exactly.
 * - Writes behind as much; `sync` and `close` report what failed.
 */
class SftpFile implements OpenFile {
  readonly #sftp: SFTPWrapper;
  readonly #handle: Buffer;
  readonly #path: string;
  readonly #request: Request;
  /** Where the next request begins. */
  #position = 0;
  #ahead: Ahead[] = [];
  #streaming = false;
  #rest: Uint8Array | null = null;
  readonly #writes: Set<Promise<void>> = new Set();
  #failure: Promise<HoldfastError> | null = null;

  constructor(sftp: SFTPWrapper, { handle, path, request, mode }: SftpFileOptions) {
    this.#sftp = sftp;
    this.#handle = handle;
    this.#path = path;
    this.#request = request;
    // The server took its umask off: this restores the mode on the way to the first write.
    if (mode !== undefined) {
      this.#follow(
        request("set mode of " + JSON.stringify(path), (done) => sftp.fchmod(handle, mode, done)),
      );
    }
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    if (!this.#rest) {
      this.#askAhead(buffer.length);
      const { asked, bytes } = this.#ahead.shift()!;
      this.#rest = await bytes;
      if (!this.#rest) return null;
      const missing = asked - this.#rest.length;
      if (missing > 0) {
        // A short answer: what was asked for beyond it lies too far on.
        for (const { asked } of this.#ahead.splice(0)) this.#position -= asked;
        this.#position -= missing;
      }
    }
    const part = this.#rest.subarray(0, buffer.length);
    buffer.set(part);
    this.#rest = part.length < this.#rest.length ? this.#rest.subarray(part.length) : null;
    return part.length;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += CHUNK) {
      while (this.#writes.size >= OUTSTANDING) await Promise.race(this.#writes);
      if (this.#failure) throw await this.#failure;
      const chunk = asBuffer(bytes.subarray(at, at + CHUNK));
      const position = this.#position;
      this.#position += chunk.length;
      this.#follow(
        this.#request(
          `write ${JSON.stringify(this.#path)}`,
          (done) => this.#sftp.write(this.#handle, chunk, 0, chunk.length, position, done as never),
        ),
      );
    }
  }

  async sync(): Promise<void> {
    await this.#settled();
    try {
      await this.#request<void>(
        `sync ${JSON.stringify(this.#path)}`,
        (done) => this.#sftp.ext_openssh_fsync(this.#handle, done),
      );
    } catch (error) {
      if (!isUnsupported(error)) throw error;
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#ahead.splice(0).map(({ bytes }) => bytes));
    await Promise.allSettled(this.#writes);
    await this.#request<void>(
      `close ${JSON.stringify(this.#path)}`,
      (done) => this.#sftp.close(this.#handle, done),
    );
    await this.#settled();
  }

  /** The first time for what this read wants, exactly; then, when that was not all, for the window. */
  #askAhead(size: number): void {
    if (this.#position > 0) {
      if (!this.#streaming && this.#ahead.length > 0) return;
      this.#streaming = true;
      size = CHUNK * OUTSTANDING;
    }
    for (let left = size - this.#ahead.length * CHUNK; left > 0; left -= CHUNK) {
      const asked = Math.min(CHUNK, left);
      const position = this.#position;
      this.#position += asked;
      const bytes = this.#readChunk(position, asked);
      bytes.catch(() => {});
      this.#ahead.push({ asked, bytes });
    }
  }

  async #readChunk(position: number, size: number): Promise<Uint8Array | null> {
    const buffer = Buffer.allocUnsafeSlow(size);
    const count = await this.#request<number>(
      `read ${JSON.stringify(this.#path)}`,
      (done) =>
        this.#sftp.read(this.#handle, buffer, 0, size, position, (error, count) => {
          const end = (error as { code?: number } | undefined)?.code === 1;
          done(end ? null : error, end ? 0 : count);
        }),
    );
    return count > 0
      ? new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, count)
      : null;
  }

  #follow(request: Promise<void>): void {
    const write: Promise<void> = request
      .catch((error) => {
        this.#failure ??= this.#explain(error);
      })
      .then(() => {
        this.#writes.delete(write);
      });
    this.#writes.add(write);
  }

  async #settled(): Promise<void> {
    await Promise.allSettled(this.#writes);
    if (this.#failure) throw await this.#failure;
  }

  /** SFTP has no status for a full disk; its file system tells. */
  async #explain(error: HoldfastError): Promise<HoldfastError> {
    const action = `look at the disk of ${JSON.stringify(this.#path)}`;
    const disk = await this.#request<{ f_bavail: number }>(
      action,
      (done) => this.#sftp.ext_openssh_statvfs(parentOf(this.#path), done as never),
    ).catch(() => null);
    if (disk?.f_bavail !== 0) return error;
    const text = `Cannot write ${JSON.stringify(this.#path)}: no space left on the device`;
    return new HoldfastError("io", text, { cause: error });
  }
}

function parentOf(path: string): string {
  return path.replace(/[^/]*$/, "") || ".";
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
