/**
 * Runs the product as its users do: a process of its own, with a private home and runtime directory.
 */

import { type Identity, testIdentity } from "./identity.ts";
import {
  describeProcesses,
  killProcesses,
  processesCarrying,
  type ProcessInfo,
  waitUntilGone,
} from "./processes.ts";
import { findForeign, programEnvironment, programWords, REPOSITORY } from "./program.ts";
import type { TestSshd } from "./sshd.ts";
import { type TempDir, tempDir } from "./temp.ts";

export { REPOSITORY };

/** Variables of ours that would let a test see more of this machine than it should. */
const PRIVATE =
  /^(HOLDFAST_|SSH_|SUDO_|XDG_RUNTIME_DIR$|XDG_CONFIG_HOME$|ANSIBLE_|HOME$|NO_COLOR$|TERM$)/;

/** How one process of the product is started. */
export interface RunOptions {
  /** Added to the environment; undefined removes. */
  env?: Record<string, string | undefined>;
  /** What it reads, at most. Default: nothing. */
  stdin?: string | Uint8Array | ReadableStream<Uint8Array>;
  /** Default: the repository. */
  cwd?: string;
  /** Aborting sends it TERM. */
  signal?: AbortSignal;
}

/** What a process of the product left. */
export interface Outcome {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutBytes: Uint8Array;
}

/** A host's entry in a workspace's ssh configuration. */
export interface HostOptions {
  /** Login name. Default: our own. */
  user?: string;
  /** Port of the server or of a proxy before it. */
  port: number;
  /** Key to offer. Default {@linkcode testIdentity}'s; null for none. */
  identity?: Identity | null;
  /** Further lines of the `Host` block. */
  config?: string[];
}

/** A user's world: home, ssh files, runtime directory. Disposal stops the daemon and checks that it went. */
export class Workspace implements AsyncDisposable {
  /** `$HOME` of its processes. */
  readonly home: string;
  /** `$HOLDFAST_DIR`: the runtime directory of client and daemon. */
  readonly dir: string;
  /** The ssh configuration that `run` passes with `-F`. */
  readonly config: string;
  readonly knownHosts: string;
  readonly #temp: TempDir;

  private constructor(temp: TempDir) {
    this.#temp = temp;
    this.home = temp.join("home");
    this.dir = temp.join("run");
    this.config = `${this.home}/.ssh/config`;
    this.knownHosts = temp.join("known_hosts"); // may be written where the home may not
  }

  /** Makes an empty one. */
  static async create(): Promise<Workspace> {
    const workspace = new Workspace(await tempDir());
    await Deno.mkdir(`${workspace.home}/.ssh`, { recursive: true, mode: 0o700 });
    await Deno.mkdir(workspace.dir, { mode: 0o700 });
    const npmrc = `${Deno.env.get("HOME")}/.npmrc`; // decides where Deno's npm cache lies
    if (await exists(npmrc)) await Deno.symlink(npmrc, `${workspace.home}/.npmrc`);
    await Deno.writeTextFile(workspace.config, "");
    await Deno.writeTextFile(workspace.knownHosts, "");
    return workspace;
  }

  /** A path for a file of the test's own. */
  join(name: string): string {
    return this.#temp.join(name);
  }

  /** Makes `name` an alias in the ssh configuration, with nothing read from the machine's own. */
  async addHost(name: string, options: HostOptions): Promise<void> {
    const { user, port, identity = await testIdentity(), config = [] } = options;
    const lines = [
      `Host ${name}`,
      ...config,
      "HostName 127.0.0.1",
      `Port ${port}`,
      ...user === undefined ? [] : [`User ${user}`],
      ...identity ? [`IdentityFile ${identity.path}`] : [],
      "IdentitiesOnly yes",
      `UserKnownHostsFile ${this.knownHosts}`,
      "GlobalKnownHostsFile /dev/null",
      "StrictHostKeyChecking yes",
    ];
    await Deno.writeTextFile(this.config, lines.join("\n  ") + "\n\n", { append: true });
  }

  /** Writes the server's keys into known_hosts, also for a proxy's port. */
  async trust(sshd: TestSshd, { port = sshd.port }: { port?: number } = {}): Promise<void> {
    const lines = sshd.hostKeyLines(`[127.0.0.1]:${port}`);
    await Deno.writeTextFile(this.knownHosts, lines.join("\n") + "\n", { append: true });
  }

  /** The command line of `holdfast SUBCOMMAND -F <config> ARGS...`; `-F` only where it is taken. */
  args(subcommand: string, ...args: string[]): string[] {
    const takesConfig = ["exec", "put", "fetch", "client", "ssh", "unprovision"].includes(
      subcommand,
    );
    return [subcommand, ...takesConfig ? ["-F", this.config] : [], ...args];
  }

  /** Runs one subcommand to its end, with this workspace's ssh configuration. */
  async run(subcommand: string, args: string[] = [], options?: RunOptions): Promise<Outcome> {
    return await holdfast(this.args(subcommand, ...args), await this.#inside(options));
  }

  /** Like {@linkcode run}, but hands out the live process with piped stdin, stdout and stderr. */
  async spawn(
    subcommand: string,
    args: string[] = [],
    options?: Omit<RunOptions, "stdin">,
  ): Promise<Deno.ChildProcess> {
    return spawnHoldfast(this.args(subcommand, ...args), await this.#inside(options));
  }

  /** The environment of its processes. */
  async env(): Promise<Record<string, string>> {
    const inherited = Object.entries(Deno.env.toObject()).filter(([name]) => !PRIVATE.test(name));
    return {
      ...Object.fromEntries(inherited),
      ...programEnvironment(await denoDir()),
      HOME: this.home,
      HOLDFAST_DIR: this.dir,
      // A target stays what a test has made it, whatever was built here.
      HOLDFAST_PROVISION: "never",
      NO_COLOR: "1",
      TERM: "dumb",
    };
  }

  /** Its live processes: clients, daemon, local contexts. */
  processes(): ProcessInfo[] {
    return processesCarrying(`HOLDFAST_DIR=${this.dir}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!await exists(this.#temp.path)) return;
    let stopped: Outcome | undefined;
    const running = this.processes();
    const foreign = findForeign(this.home, running);
    if (running.length > 0) stopped = await this.run("stop");
    const left = await waitUntilGone(() => this.processes());
    await killProcesses(left);
    const sockets = stopped ? socketsIn(this.dir) : []; // one killed with -9 may leave its own
    await this.#temp[Symbol.asyncDispose]();
    if (left.length > 0) {
      throw new Error(
        `holdfast stop (status ${stopped?.code}, "${stopped?.stderr.trim()}") left processes ` +
          describeProcesses(left),
      );
    }
    if (foreign !== null) throw new Error(foreign);
    if (sockets.length > 0) throw new Error(`holdfast stop left sockets ${sockets.join(", ")}`);
  }

  async #inside(options: RunOptions = {}): Promise<RunOptions> {
    return { ...options, env: { ...await this.env(), ...options.env } };
  }
}

/** Runs `holdfast ARGS...` to its end. The environment is exactly `env`: prefer {@linkcode Workspace}. */
export async function holdfast(args: string[], options: RunOptions = {}): Promise<Outcome> {
  const { stdin } = options;
  await using process = start(args, options, stdin === undefined ? "null" : "piped");
  const [{ code, signal, stdout, stderr }] = await Promise.all([
    process.output(),
    stdin === undefined ? undefined : feed(process, stdin),
  ]);
  const decoder = new TextDecoder();
  return {
    code,
    signal,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
    stdoutBytes: stdout,
  };
}

/** Starts `holdfast ARGS...` with piped stdin, stdout and stderr. Dispose of it or await its status. */
export function spawnHoldfast(
  args: string[],
  options: Omit<RunOptions, "stdin"> = {},
): Deno.ChildProcess {
  return start(args, options, "piped");
}

function start(args: string[], options: RunOptions, stdin: "null" | "piped"): Deno.ChildProcess {
  const env = Object.entries(options.env ?? {}).filter((entry) => entry[1] !== undefined);
  const [program, ...words] = programWords({ home: options.env?.HOME });
  return new Deno.Command(program, {
    args: [...words, ...args],
    clearEnv: true,
    env: Object.fromEntries(env) as Record<string, string>,
    cwd: options.cwd ?? REPOSITORY,
    signal: options.signal,
    stdin,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Writes all of `stdin`; a reader that closes early is its own business. */
async function feed(
  process: Deno.ChildProcess,
  stdin: NonNullable<RunOptions["stdin"]>,
): Promise<void> {
  const source = stdin instanceof ReadableStream ? stdin : new Blob([stdin as BlobPart]).stream();
  try {
    await source.pipeTo(process.stdin);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

let knownDenoDir: Promise<string> | undefined;

/** Our own cache, so that a private home means no downloads. */
export function denoDir(): Promise<string> {
  return knownDenoDir ??= (async () => {
    const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] })
      .output();
    return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
  })();
}

function socketsIn(dir: string): string[] {
  const names = [...Deno.readDirSync(dir)].map((entry) => entry.name);
  return names.filter((name) => Deno.lstatSync(`${dir}/${name}`).isSocket);
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}
