/**
 * Test accounts of this machine, each with exactly the JavaScript runtimes that a test wants its ssh
 * sessions to find (through `startSshd`, which hides all others). Needs root: `test.needs("namespaces")`.
 */

import { testIdentity } from "./identity.ts";
import {
  describeProcesses,
  killProcesses,
  listProcesses,
  type ProcessInfo,
  waitUntilGone,
} from "./processes.ts";
import { tempDir } from "./temp.ts";
import { programOf, type Runtime, sharedRuntime, toolsDir } from "./tools.ts";

/** What an account is like. */
export interface AccountOptions {
  /** Runtimes to find. Default none: a direct target. */
  runtimes?: Runtime[];
  /**
   * `home`: where their installers put them (`~/.deno/bin`, `~/.bun/bin`, nvm's directory);
   * `path`: in a directory on the sessions' PATH. Default `home`.
   */
  place?: "home" | "path";
  /** Login shell. Default /bin/bash. */
  shell?: string;
  /** Default none: only keys. */
  password?: string;
  /** Text of ~/.profile and ~/.bashrc, for noise. Default none. */
  profile?: string;
  /** Public keys for `~/.ssh/authorized_keys`. Default {@linkcode testIdentity}'s. */
  authorizedKeys?: string[];
  /** Let it run everything as anybody with sudo: without, or with its own password. Default neither. */
  sudo?: "nopasswd" | "password";
  /** Whether processes may still run under it at its disposal; else that is a leak. Default false. */
  mayLeaveProcesses?: boolean;
}

/** Where each runtime's own installer puts it, below the home directory. */
const HOMES: Record<Runtime, string> = {
  deno: ".deno/bin/deno",
  bun: ".bun/bin/bun",
  node: ".nvm/versions/node/v20.20.0/bin/node",
  node18: ".nvm/versions/node/v18.0.0/bin/node",
};

/** Makes an account with a home that contains nothing but what the options ask for. */
export async function createAccount(options: AccountOptions = {}): Promise<Account> {
  const name = `hf-${crypto.randomUUID().slice(0, 8)}`;
  const { shell = "/bin/bash" } = options;
  await using empty = await tempDir();
  await changeAccounts("useradd", ["-m", "-k", empty.path, "-s", shell, name]);
  const account = new Account(name, await homeOf(name), options);
  try {
    await furnish(account, options);
  } catch (error) {
    await account[Symbol.asyncDispose]();
    throw error;
  }
  return account;
}

/**
 * An account. Disposal kills what still runs under it and removes it with its home, then throws if
 * something ran that did not end by itself: what a remote host keeps is a leak like any other.
 */
export class Account implements AsyncDisposable {
  readonly name: string;
  readonly home: string;
  readonly #mayLeaveProcesses: boolean;
  #removed = false;

  constructor(name: string, home: string, options: AccountOptions = {}) {
    this.name = name;
    this.home = home;
    this.#mayLeaveProcesses = options.mayLeaveProcesses ?? false;
  }

  /** The user id. */
  get uid(): number {
    return Deno.statSync(this.home).uid!;
  }

  /** What runs under this account now, sshd's own session processes included. */
  processes(): ProcessInfo[] {
    const uid = this.uid;
    return listProcesses().filter((info) => info.uid === uid);
  }

  /** Writes a file below the home directory, owned by the account. */
  async write(path: string, content: string, { mode = 0o644 }: { mode?: number } = {}) {
    const { uid, gid } = await Deno.stat(this.home);
    const parts = path.split("/");
    for (let depth = 1; depth < parts.length; depth++) {
      const dir = `${this.home}/${parts.slice(0, depth).join("/")}`;
      await Deno.mkdir(dir, { recursive: true });
      await Deno.chown(dir, uid, gid);
    }
    await Deno.writeTextFile(`${this.home}/${path}`, content, { mode });
    await Deno.chown(`${this.home}/${path}`, uid, gid);
  }

  async setPassword(password: string): Promise<void> {
    await changeAccounts("chpasswd", [], `${this.name}:${password}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#removed) return;
    this.#removed = true;
    const grace = this.#mayLeaveProcesses ? 0 : 3000;
    const left = await waitUntilGone(() => this.processes(), { deadline: grace });
    await killProcesses(left);
    for (const path of [sudoersOf(this.name), ...sudoStateOf(this.name)]) {
      await Deno.remove(path).catch(() => {});
    }
    // The next account with its number would find it there.
    const inMemory = [`/dev/shm/holdfast-${this.uid}`, `/tmp/holdfast-${this.uid}`].filter(exists);
    for (const path of inMemory) await Deno.remove(path, { recursive: true });
    await changeAccounts("userdel", ["-r", "-f", this.name]);
    if (inMemory.length > 0) {
      throw new Error(`Account "${this.name}" was left with ${inMemory.join(", ")}`);
    }
    if (left.length > 0 && !this.#mayLeaveProcesses) {
      throw new Error(`Account "${this.name}" was left with processes ${describeProcesses(left)}`);
    }
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

async function furnish(account: Account, options: AccountOptions): Promise<void> {
  const { name } = account;
  if (options.password === undefined) {
    await changeAccounts("usermod", ["-p", "*", name]); // sshd refuses the `!` of useradd
  } else {
    await account.setPassword(options.password);
  }
  const keys = options.authorizedKeys ?? [(await testIdentity()).publicKey];
  await account.write(".ssh/authorized_keys", keys.join("\n") + "\n");
  const directories = ["/usr/local/bin", "/usr/bin", "/bin"];
  const { runtimes = [], place = "home" } = options;
  if (place === "path") directories.unshift(`${account.home}/tools`);
  await account.write(".ssh/environment", `PATH=${directories.join(":")}\n`);
  for (const runtime of runtimes) {
    const path = place === "path" ? `tools/${programOf(runtime)}` : HOMES[runtime];
    await account.write(path, ""); // for the directories
    await Deno.remove(`${account.home}/${path}`);
    await Deno.symlink(sharedRuntime(runtime), `${account.home}/${path}`);
  }
  if (options.profile !== undefined) {
    await account.write(".profile", options.profile);
    await account.write(".bashrc", options.profile);
  }
  if (options.sudo) {
    const tag = options.sudo === "nopasswd" ? "NOPASSWD: " : "";
    await Deno.writeTextFile(sudoersOf(name), `${name} ALL=(ALL:ALL) ${tag}ALL\n`, { mode: 0o440 });
  }
}

function sudoersOf(name: string): string {
  return `/etc/sudoers.d/${name}`;
}

/** What sudo keeps of a user: that it knows the password, and that it has been lectured. */
function sudoStateOf(name: string): string[] {
  return [`/run/sudo/ts/${name}`, `/var/lib/sudo/lectured/${name}`];
}

async function homeOf(name: string): Promise<string> {
  const passwd = await Deno.readTextFile("/etc/passwd");
  return passwd.split("\n").find((line) => line.startsWith(`${name}:`))!.split(":")[5];
}

/** The account tools fail when two run at once, and test files do: one at a time. */
async function changeAccounts(tool: string, args: string[], input = ""): Promise<void> {
  using lock = await Deno.open(`${toolsDir()}/accounts.lock`, { create: true, write: true });
  await lock.lock(true);
  const process = new Deno.Command(tool, {
    args,
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input)).catch(() => {});
  await writer.close().catch(() => {});
  const { success, stderr } = await process.output();
  if (!success) {
    throw new Error(`Cannot run ${tool} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }
}
