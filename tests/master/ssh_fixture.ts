/**
 * One sshd, one account and settings for it: what the tests of `master/` start from. Not a test itself.
 */

import type { ByteSource, Child } from "../../lib/core/host.ts";
import type { HoldfastError } from "../../lib/core/errors.ts";
import type { Ask, Question } from "../../lib/master/ask.ts";
import { resolveSsh } from "../../lib/master/ssh_config.ts";
import {
  connectSsh,
  type ConnectSshOptions,
  type SshConnection,
} from "../../lib/master/ssh_connection.ts";
import type { SshOptions, SshSettings } from "../../lib/master/ssh_settings.ts";
import { type Account, type AccountOptions, createAccount } from "../support/accounts.ts";
import { leakCheck } from "../support/leaks.ts";
import { missing } from "../support/needs.ts";
import { testIdentity } from "../support/identity.ts";
import { type SshdOptions, startSshd, type TestSshd } from "../support/sshd.ts";
import { type TempDir, tempDir } from "../support/temp.ts";

export interface World extends AsyncDisposable {
  sshd: TestSshd;
  account: Account;
  dir: TempDir;
  /** known_hosts file, containing the server's keys unless told otherwise. */
  knownHosts: string;
  settings(options?: SshOptions & { host?: string }): Promise<SshSettings>;
  connect(
    settings?: Partial<SshSettings>,
    options?: Partial<ConnectSshOptions>,
  ): Promise<SshConnection>;
}

export async function startWorld(
  options: { sshd?: SshdOptions; account?: AccountOptions; trust?: boolean } = {},
): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await tempDir());
  const account = stack.use(await createAccount(options.account));
  const sshd = stack.use(await startSshd(options.sshd));
  const knownHosts = dir.join("known_hosts");
  const known = options.trust === false ? "" : sshd.hostKeyLines().join("\n") + "\n";
  await Deno.writeTextFile(knownHosts, known);
  const identity = await testIdentity();
  const settings: World["settings"] = ({ host = "127.0.0.1", ...more } = {}) =>
    resolveSsh(host, {
      configFile: "none",
      port: sshd.port,
      user: account.name,
      identityFiles: [identity.path],
      ...more,
      options: [
        `UserKnownHostsFile=${knownHosts}`,
        "GlobalKnownHostsFile=none",
        ...more.options ?? [],
      ],
    }, { env: { PATH: "/usr/bin:/bin" }, cwd: dir.path });
  const connect: World["connect"] = async (changes = {}, more = {}) =>
    await connectSsh({ ...await settings(), ...changes }, { ask: never, ...more });
  const moved = stack.move();
  return {
    sshd,
    account,
    dir,
    knownHosts,
    settings,
    connect,
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

/**
 * Like `test.needs("sshd", "root")`. Resources are not counted: on Deno ssh2 leaves its last cipher and decipher
 * to the garbage collector; sockets and processes are still found by the other checks.
 */
export function sshTest(name: string, body: () => Promise<void>): void {
  const lacking = missing(["sshd", "root"]);
  if (lacking.length > 0) {
    const title = `${name} (skipped: needs ${lacking.join(", ")})`;
    Deno.test({ name: title, ignore: true, fn: body });
    return;
  }
  Deno.test({ name, fn: () => leakCheck(name, body), sanitizeResources: false });
}

/** Nobody is there to answer. */
export const never: Ask = () => Promise.resolve(null);

/** Answers in turn and keeps the questions. */
export function answering(...answers: (string | null)[]): { ask: Ask; questions: Question[] } {
  const questions: Question[] = [];
  const ask: Ask = (question) => {
    questions.push(question);
    return Promise.resolve(answers.shift() ?? null);
  };
  return { ask, questions };
}

export async function text(source: ByteSource): Promise<string> {
  const decoder = new TextDecoder();
  let result = "";
  for (let bytes; (bytes = await source.read()) !== null;) {
    result += decoder.decode(bytes, { stream: true });
  }
  return result;
}

/** Runs a command to its end. */
export async function run(connection: SshConnection, command: string) {
  const child: Child = await connection.exec(command);
  await child.stdin.close();
  const [stdout, stderr, exit] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    child.exit,
  ]);
  return { stdout, stderr, exit };
}

/** Closes and waits until nothing is left of it. */
export async function closing(connection: SshConnection): Promise<void> {
  connection.close();
  await connection.closed;
}

/** The error that `work` must end with. */
export async function failure(work: Promise<unknown>): Promise<HoldfastError> {
  try {
    await work;
  } catch (error) {
    return error as HoldfastError;
  }
  throw new Error("expected a failure");
}
