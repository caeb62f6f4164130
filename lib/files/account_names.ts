/** Names, numbers and homes of the accounts in /etc/passwd and /etc/group. For `sftp_session.ts`. */

type Fs = typeof import("node:fs").promises;

/** Bytes of either file that are looked at: there may be networks of accounts behind them, which are not asked. */
const LONGEST = 1024 * 1024;

export class AccountNames {
  readonly #users: Map<number, string>;
  readonly #groups: Map<number, string>;
  readonly #homes: Map<string, string>;

  private constructor(passwd: string[][], group: string[][]) {
    this.#users = new Map(passwd.map(([name, , uid]) => [Number(uid), name]));
    this.#groups = new Map(group.map(([name, , gid]) => [Number(gid), name]));
    this.#homes = new Map(passwd.map(([name, , , , , home]) => [name, home]));
  }

  static async read(fs: Fs): Promise<AccountNames> {
    return new AccountNames(await rows(fs, "/etc/passwd"), await rows(fs, "/etc/group"));
  }

  /** The number itself where there is no name. */
  user(uid: number): string {
    return this.#users.get(uid) ?? String(uid);
  }

  group(gid: number): string {
    return this.#groups.get(gid) ?? String(gid);
  }

  home(user: string): string | undefined {
    return this.#homes.get(user);
  }
}

async function rows(fs: Fs, path: string): Promise<string[][]> {
  try {
    const file = await fs.open(path, "r");
    try {
      const buffer = new Uint8Array(LONGEST);
      const { bytesRead } = await file.read(buffer, 0, LONGEST, 0);
      const text = new TextDecoder().decode(buffer.subarray(0, bytesRead));
      // The first of several with one number counts, as the last one set does.
      return text.split("\n").map((line) => line.split(":")).filter(({ length }) => length > 2)
        .reverse();
    } finally {
      await file.close();
    }
  } catch {
    return [];
  }
}
