/** What the tests of provisioning begin with: a host without a runtime, and somebody with the built file. Not a test itself. */

import { type Account, type AccountOptions, createAccount } from "../support/accounts.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { builtFile } from "../support/built_file.ts";
import { type DelayProxy, startDelayProxy } from "../support/delay_proxy.ts";
import { type Outcome, Workspace } from "../support/holdfast.ts";
import { startSshd, type TestSshd } from "../support/sshd.ts";
import { type Mount, rootsHome } from "../support/without_runtimes.ts";

/** More bytes than the first stage, but less than that and a core. */
export const CORE = 11_000;
/** More bytes than some connections with their cores, but much less than a runtime. */
export const LITTLE = 200_000;

/** What `status` tells of a connection, as far as it is looked at here. */
export interface Status {
  target: string;
  state: string;
  runtime: string | null;
  provision: string | null;
  sent: number;
}

/** A host without a runtime behind a proxy that counts, and a user with the built file. */
export class World implements AsyncDisposable {
  readonly account: Account;
  readonly proxy: DelayProxy;
  readonly workspace: Workspace;
  /** Added to the environment. */
  readonly env: Record<string, string> = {};
  readonly #file: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    parts: Pick<World, "account" | "proxy" | "workspace">,
    { file, stack }: { file: string; stack: AsyncDisposableStack },
  ) {
    this.account = parts.account;
    this.proxy = parts.proxy;
    this.workspace = parts.workspace;
    this.#file = file;
    this.#stack = stack;
  }

  static async create(
    { mounts, ...options }: AccountOptions & { mounts?: Record<string, Mount> } = {},
  ): Promise<World> {
    const file = await builtFile();
    await using stack = new AsyncDisposableStack();
    const root = { [rootsHome()]: { empty: "1g" } };
    const sshd: TestSshd = stack.use(await startSshd({ mounts: { ...root, ...mounts } }));
    const account = stack.use(await createAccount({ shell: "/bin/sh", ...options }));
    const proxy = stack.use(startDelayProxy({ port: sshd.port }));
    const workspace = stack.use(await Workspace.create());
    await workspace.addHost("web1", { user: account.name, port: proxy.port });
    await workspace.trust(sshd, { port: proxy.port });
    return new World({ account, proxy, workspace }, { file, stack: stack.move() });
  }

  /** Where the account's runtimes are put. */
  get cache(): string {
    return `${this.account.home}/.cache/holdfast`;
  }

  async run(...words: string[]): Promise<Pick<Outcome, "code" | "stdout" | "stderr">> {
    return await this.runIn(this.workspace, ...words);
  }

  async runIn(
    workspace: Workspace,
    ...words: string[]
  ): Promise<Pick<Outcome, "code" | "stdout" | "stderr">> {
    const [subcommand, ...args] = words;
    const { HOLDFAST_PROVISION: _, ...env } = await workspace.env();
    const { code, stdout, stderr } = await new Deno.Command(this.#file, {
      args: workspace.args(subcommand, ...args),
      env: { ...env, ...this.env },
      clearEnv: true,
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  /** Sets a variable for the account's sessions. */
  async set(name: string, value: string): Promise<void> {
    const path = `${this.account.home}/.ssh/environment`;
    const lines = (await Deno.readTextFile(path)).split("\n").filter((line) =>
      line && !line.startsWith(`${name}=`)
    );
    await Deno.writeTextFile(path, [...lines, `${name}=${value}`, ""].join("\n"));
  }

  /** Checks that it is served directly, with why it was not provisioned, and that nothing was sent or left. */
  async refused(why: RegExp): Promise<void> {
    const { code, stdout } = await this.run("exec", "--provision=always", "web1", "echo hi");
    assertEquals([code, stdout], [0, "hi\n"]);
    const [{ state, provision }] = await this.status();
    assertEquals(state, "direct");
    assertMatch(provision!, /^Cannot provision: /);
    assertMatch(provision!, why);
    assert((await this.log()).includes(`served directly: ${provision}`));
    assertMatch((await this.run("status")).stdout, /\nweb1: Cannot provision: /);
    assert(this.proxy.bytesToServer < LITTLE);
    assertEquals(await this.left(), []);
  }

  /** Resolves when nothing is being sent. */
  async settled(): Promise<void> {
    while ((await this.status()).some(({ provision }) => provision && !/^Cannot/.test(provision)));
  }

  /** What the account has of us in its home. */
  async left(): Promise<string[]> {
    const names: string[] = [];
    try {
      for await (const { name } of Deno.readDir(this.cache)) names.push(name);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return names;
  }

  async status(workspace: Workspace = this.workspace): Promise<Status[]> {
    const { stdout } = await this.runIn(workspace, "status", "--json");
    return JSON.parse(stdout).connections;
  }

  async log(): Promise<string> {
    return await Deno.readTextFile(`${this.workspace.dir}/log`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}

export async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
