/**
 * Where the bench happens: an sshd of its own on loopback, a clean account (our own user when we are not
 * root), one ssh configuration for all, and homes and daemons of ours. Everything ends with it.
 */

import { createAccount } from "../../tests/support/accounts.ts";
import { startDelayProxy } from "../../tests/support/delay_proxy.ts";
import { Workspace } from "../../tests/support/holdfast.ts";
import { testIdentity } from "../../tests/support/identity.ts";
import { has } from "../../tests/support/needs.ts";
import { waitUntilGone } from "../../tests/support/processes.ts";
import { startSshd, type TestSshd } from "../../tests/support/sshd.ts";
import { tempDir } from "../../tests/support/temp.ts";
import { builtFile } from "./built_file.ts";
import { LineProcess } from "./line_process.ts";
import { type Command, Processes } from "./processes.ts";

/** A way to the account: a name in the ssh configuration. */
export interface Place {
  name: string;
  port: number;
}

/** A home and runtime directory with a daemon of its own, and a live client of it. */
export interface Seat {
  /** Environment of its processes. */
  env: Record<string, string>;
  client: LineProcess;
  /** Ends the daemon and waits until it is gone. */
  stop(): Promise<void>;
}

export class World implements AsyncDisposable {
  readonly processes: Processes;
  readonly sshd: TestSshd;
  readonly user: string;
  /** It may use sudo. */
  readonly sudo: boolean;
  /** Path of the private key. */
  readonly identity: string;
  /** A directory on the target that the account may fill. */
  readonly remoteDir: string;
  /** A directory on this side, on the same file system. */
  readonly localDir: string;
  /** Environment of the peers' processes. */
  readonly env: Record<string, string>;
  /** The ssh configuration of everybody. */
  readonly config: string;
  readonly #workspace: Workspace;
  readonly #stack: AsyncDisposableStack;
  #places = 0;
  #end: Promise<void> | null = null;

  private constructor(facts: Facts, stack: AsyncDisposableStack) {
    this.processes = facts.processes;
    this.sshd = facts.sshd;
    this.user = facts.user;
    this.sudo = facts.sudo;
    this.identity = facts.identity;
    this.remoteDir = facts.remoteDir;
    this.localDir = facts.localDir;
    this.env = facts.env;
    this.config = facts.workspace.config;
    this.#workspace = facts.workspace;
    this.#stack = stack;
  }

  static async create(): Promise<World> {
    await using stack = new AsyncDisposableStack();
    const sshd = stack.use(
      await startSshd({ maxSessions: 100, config: ["AcceptEnv GIT_PROTOCOL"] }),
    );
    const { user, sudo, remoteDir } = await target(stack);
    const workspace = stack.use(await Workspace.create());
    const localDir = stack.use(await tempDir()).path;
    const processes = stack.use(new Processes());
    const { path: identity } = await testIdentity();
    const env = await workspace.env();
    const facts = { processes, sshd, user, sudo, identity, remoteDir, localDir, env, workspace };
    return new World(facts, stack.move());
  }

  /** A new name for the account; `delay` is the round trip in milliseconds, through a proxy of its own. */
  async place({ delay = 0 }: { delay?: number } = {}): Promise<Place> {
    const name = `bench${++this.#places}`;
    const port = delay === 0 ? this.sshd.port : this.#stack.use(
      startDelayProxy({ port: this.sshd.port, delay: delay / 2 }),
    ).port;
    // A name of its own among the host keys makes it a connection of its own.
    const options = { user: this.user, port, config: [`HostKeyAlias ${name}`] };
    await this.#workspace.addHost(name, options);
    const lines = this.sshd.hostKeyLines(name).join("\n") + "\n";
    await Deno.writeTextFile(this.#workspace.knownHosts, lines, { append: true });
    return { name, port };
  }

  /** A private runtime directory, where the first use starts a daemon. */
  async seat(): Promise<Seat> {
    const workspace = this.#stack.use(await Workspace.create());
    const env = { ...await workspace.env(), HOLDFAST_IDLE_TIMEOUT: "3600" };
    const script = new URL("live_client.ts", import.meta.url).pathname;
    const words = [Deno.execPath(), "run", "--quiet", "-A", script];
    const client = new LineProcess(this.processes, { words, env });
    const stop = async () => {
      const { pid } = await client.ask({ do: "stop" });
      if (pid === null) return;
      await waitUntilGone(() => workspace.processes().filter((info) => info.pid === pid));
    };
    this.defer(async () => {
      await stop().catch(() => {});
      await client.close();
    });
    return { env, client, stop };
  }

  /** A whole process of the product, from the source tree. */
  holdfast(seat: Seat, subcommand: string, ...args: string[]): Command {
    return this.source(seat, subcommand, "-F", this.config, ...args);
  }

  /** The same with exactly these words. */
  source(seat: Seat, ...args: string[]): Command {
    return { words: [Deno.execPath(), "run", "--quiet", "-A", MAIN, ...args], env: seat.env };
  }

  /** A whole process of the product as its users have it. */
  async built(seat: Seat, subcommand: string, ...args: string[]): Promise<Command> {
    return { words: [await builtFile(), subcommand, "-F", this.config, ...args], env: seat.env };
  }

  /** A process of one of the peers. */
  peer(...words: string[]): Command {
    return { words, env: this.env };
  }

  /** Holds a ControlMaster open; resolves with its socket. */
  async controlMaster({ name }: Place): Promise<string> {
    const socket = `${this.localDir}/${name}.ctl`;
    const words = ["ssh", "-F", this.config, "-M", "-S", socket, "-N", name];
    const streams = { stdin: "null", stdout: "null", stderr: "inherit" } as const;
    const master = this.processes.spawn(this.peer(...words), streams);
    this.defer(() => this.processes.kill(master, "SIGTERM"));
    for (let attempt = 0;; attempt++) {
      const check = this.peer("ssh", "-F", this.config, "-S", socket, "-O", "check", name);
      const error = await this.processes.time(check).then(() => null, (error) => error);
      if (!error) return socket;
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Runs `action` at the end, before what was there earlier goes. */
  defer(action: () => Promise<void>): void {
    this.#stack.defer(action);
  }

  /** Ends everything, in the reverse order. Idempotent: all callers wait for the same end. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#end ??= this.#stack.disposeAsync();
  }
}

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

interface Facts {
  processes: Processes;
  sshd: TestSshd;
  user: string;
  sudo: boolean;
  identity: string;
  remoteDir: string;
  localDir: string;
  env: Record<string, string>;
  workspace: Workspace;
}

async function target(
  stack: AsyncDisposableStack,
): Promise<Pick<Facts, "user" | "sudo" | "remoteDir">> {
  if (!has("root")) {
    const user = Deno.env.get("USER") ?? Deno.env.get("LOGNAME") ?? "";
    return { user, sudo: false, remoteDir: stack.use(await tempDir()).path };
  }
  const sudo = has("sudo");
  const account = stack.use(
    await createAccount({
      runtimes: ["deno"],
      shell: "/bin/sh",
      sudo: sudo ? "nopasswd" : undefined,
      mayLeaveProcesses: true,
    }),
  );
  const remoteDir = `${account.home}/bench`;
  await Deno.mkdir(remoteDir);
  const { uid, gid } = await Deno.stat(account.home);
  await Deno.chown(remoteDir, uid, gid);
  return { user: account.name, sudo, remoteDir };
}
