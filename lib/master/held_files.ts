/** One session for files that is opened when it is needed and kept while it is used. Used by `direct_host.ts` and `hop_host.ts`. */
import type { HoldfastError } from "../core/errors.ts";
import type { Host, OpenFile, ProcessHost } from "../core/host.ts";

/** What a {@linkcode Host} does with files. */
export type HostFiles = Omit<Host, keyof ProcessHost>;

export interface FileSession {
  files: HostFiles;
  /** Resolves when it has ended, whoever ended it. */
  closed: Promise<unknown>;
  /** Idempotent. */
  close(): void;
}

/** Milliseconds that a session is kept when nothing more is asked of it. */
const IDLE = 10_000;

export interface HeldFilesOptions {
  open(): Promise<FileSession>;
  /** Told what gives the session back while it is idle; returns what takes that word back. */
  spare?(giveBack: () => void): () => void;
}

/**
 * - Shared: whatever comes while a session is opened or kept uses that one.
 * - In use while an operation runs or a file is open; else given back when asked for, and after a while.
 */
export class HeldFiles {
  readonly files: HostFiles;
  readonly #options: HeldFilesOptions;
  #session: Promise<FileSession> | null = null;
  #users = 0;
  #stopIdling: () => void = () => {};

  constructor(options: HeldFilesOptions) {
    this.#options = options;
    const once = <T>(run: (files: HostFiles) => Promise<T>) => this.#use(run);
    this.files = {
      stat: (path) => once((files) => files.stat(path)),
      lstat: (path) => once((files) => files.lstat(path)),
      readDir: (path) => once((files) => files.readDir(path)),
      readLink: (path) => once((files) => files.readLink(path)),
      symlink: (target, path) => once((files) => files.symlink(target, path)),
      mkdir: (path, mode) => once((files) => files.mkdir(path, mode)),
      rename: (from, to) => once((files) => files.rename(from, to)),
      remove: (path) => once((files) => files.remove(path)),
      chmod: (path, mode) => once((files) => files.chmod(path, mode)),
      setTime: (path, mtime) => once((files) => files.setTime(path, mtime)),
      openRead: (path) => this.#open((files) => files.openRead(path)),
      create: (path, mode) => this.#open((files) => files.create(path, mode)),
    };
  }

  /** Gives up the session there is; idempotent. */
  close(): void {
    this.#stopIdling();
    const session = this.#session;
    this.#session = null;
    session?.then((opened) => opened.close(), () => {});
  }

  async #use<T>(run: (files: HostFiles) => Promise<T>): Promise<T> {
    const files = await this.#enter();
    try {
      return await run(files);
    } finally {
      this.#leave();
    }
  }

  /** An open file is a user until it is closed. */
  async #open(open: (files: HostFiles) => Promise<OpenFile>): Promise<OpenFile> {
    const files = await this.#enter();
    let file: OpenFile;
    try {
      file = await open(files);
    } catch (error) {
      this.#leave();
      throw error;
    }
    let isOpen = true;
    return {
      read: (buffer) => file.read(buffer),
      write: (bytes) => file.write(bytes),
      sync: () => file.sync(),
      close: () =>
        file.close().finally(() => {
          if (isOpen) this.#leave();
          isOpen = false;
        }),
    };
  }

  async #enter(): Promise<HostFiles> {
    this.#users++;
    this.#stopIdling();
    const session = this.#session ??= this.#start();
    try {
      return (await session).files;
    } catch (error) {
      this.#leave();
      throw error as HoldfastError;
    }
  }

  #leave(): void {
    if (--this.#users > 0 || !this.#session) return;
    const close = () => this.close();
    const timer = setTimeout(close, IDLE);
    const withdraw = this.#options.spare?.(close);
    this.#stopIdling = () => {
      clearTimeout(timer);
      withdraw?.();
      this.#stopIdling = () => {};
    };
    // It may have been asked for while we said that it can be spared.
    if (!this.#session) this.#stopIdling();
  }

  #start(): Promise<FileSession> {
    const session = this.#options.open();
    const forget = () => {
      if (this.#session !== session) return;
      this.#session = null;
      this.#stopIdling();
    };
    session.then(({ closed }) => closed.then(forget), forget);
    return session;
  }
}
