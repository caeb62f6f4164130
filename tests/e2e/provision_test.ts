/** Targets without a runtime are given one: by which rules, over which ways, and what comes of it where it cannot be. */

import { type Account, type AccountOptions, createAccount } from "../support/accounts.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { builtFile } from "../support/built_file.ts";
import { type DelayProxy, startDelayProxy } from "../support/delay_proxy.ts";
import { type Outcome, Workspace } from "../support/holdfast.ts";
import { startSshd, type TestSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const hosts = test.needs("linux", "root", "sshd", "namespaces", "gzip", "tar", "sha256sum");

/** What `status` tells of a connection, as far as it is looked at here. */
interface Status {
  target: string;
  state: string;
  runtime: string | null;
  provision: string | null;
}

/** A host without a runtime behind a proxy that counts, and a user with the built file. */
class World implements AsyncDisposable {
  readonly account: Account;
  readonly proxy: DelayProxy;
  readonly workspace: Workspace;
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

  static async create(options: AccountOptions = {}): Promise<World> {
    const file = await builtFile();
    await using stack = new AsyncDisposableStack();
    const sshd: TestSshd = stack.use(await startSshd());
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
    const [subcommand, ...args] = words;
    const { code, stdout, stderr } = await new Deno.Command(this.#file, {
      args: this.workspace.args(subcommand, ...args),
      env: await this.workspace.env(),
      clearEnv: true,
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  async status(): Promise<Status[]> {
    const { stdout } = await this.run("status", "--json");
    return JSON.parse(stdout).connections;
  }

  async log(): Promise<string> {
    return await Deno.readTextFile(`${this.workspace.dir}/log`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}

hosts("provision always: the first command waits, and has a full context", async () => {
  await using world = await World.create();
  const { code, stdout, stderr } = await world.run("exec", "--provision=always", "web1", "echo hi");
  assertEquals([code, stdout, stderr], [0, "hi\n", ""]);
  const [{ state, runtime, provision }] = await world.status();
  assertEquals([state, runtime, provision], ["ready", "deno", null], await world.log());
  // Without a core to be sent, and without a word of ours on the host.
  await world.run("disconnect", "web1");
  const before = world.proxy.bytesToServer;
  assertEquals((await world.run("exec", "web1", "echo again")).stdout, "again\n");
  assertEquals((await world.run("exec", "web1", "echo again")).stdout, "again\n");
  assertEquals((await world.status())[0].runtime, "deno");
  assert(world.proxy.bytesToServer - before < 100_000);
  assertMatch(await world.log(), /sending .*holdfast, \d+\.\d MB/);
});
