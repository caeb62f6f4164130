/** What the tests of plain ssh begin with: a host that `holdfast setup ssh-config` was told of, and is held. Not a test itself. */
import { type Account, createAccount } from "../support/accounts.ts";
import { assertEquals } from "../support/assert.ts";
import { type DelayProxy, startDelayProxy } from "../support/delay_proxy.ts";
import { Workspace } from "../support/holdfast.ts";
import { type SshdOptions, startSshd, type TestSshd } from "../support/sshd.ts";

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

export interface World {
  sshd: TestSshd;
  account: Account;
  proxy: DelayProxy;
  workspace: Workspace;
  env: Record<string, string>;
  /** Runs a line of bash to its end, in which `ssh` is the system's, with our configuration. */
  bash(line: string, options?: { env?: Record<string, string> }): Promise<Ran>;
  /** The words that start ssh. */
  ssh(...words: string[]): string[];
  /** Runs it; fails when that needed a login of its own. */
  overHeld(line: string, options?: { env?: Record<string, string> }): Promise<Ran>;
  /** Terminals, devices and files of tests (`given...`) that the daemon was handed. */
  open(): Promise<string[]>;
  /** Those that it does not close. */
  leftOpen(): Promise<string[]>;
  daemon(): Promise<number>;
}

export async function inWorld(
  { runtime, maxSessions, hold = true, lines = [] }: {
    runtime: "deno" | "none";
    maxSessions?: SshdOptions["maxSessions"];
    /** False: nobody has connected yet. */
    hold?: boolean;
    /** Of ssh_config, for the host. */
    lines?: string[];
  },
  use: (world: World) => Promise<void>,
): Promise<void> {
  await using sshd = await startSshd({ maxSessions, config: ["AcceptEnv LANG SENT_*"] });
  await using account = await createAccount({ runtimes: runtime === "none" ? [] : [runtime] });
  await Deno.chmod(account.home, 0o755);
  await using proxy = startDelayProxy({ port: sshd.port });
  await using workspace = await Workspace.create();
  await workspace.addHost("web1", { user: account.name, port: proxy.port, config: lines });
  await workspace.trust(sshd, { port: proxy.port });
  const config = workspace.join("config"); // its home may be read-only
  await Deno.copyFile(workspace.config, config);
  const written = await workspace.run("setup", ["ssh-config", "--write", "-F", config, "web1"]);
  assertEquals(written.code, 0);
  const env = await workspace.env();
  const bash: World["bash"] = async (line, options = {}) => {
    const { code, stdout, stderr } = await new Deno.Command("bash", {
      args: ["-c", `ssh() { command ssh -F "$CONFIG" "$@"; }; ${line}`],
      env: { ...env, CONFIG: config, FILES: workspace.join(""), ...options.env },
      clearEnv: true,
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  };
  const status = async () => JSON.parse((await workspace.run("status", ["--json"])).stdout);
  const daemon = async () => (await status()).pid as number;
  if (hold) assertEquals((await workspace.run("exec", ["web1", "true"])).code, 0);
  await use({
    sshd,
    account,
    proxy,
    workspace,
    env,
    bash,
    ssh: (...words) => ["ssh", "-F", config, ...words],
    async overHeld(line, options) {
      const before = await sshd.logins();
      const ran = await bash(line, options);
      assertEquals(await sshd.logins(), before, `logged in by itself: ${ran.stderr}`);
      return ran;
    },
    open: async () => foreign(await daemon()),
    async leftOpen() {
      const pid = await daemon();
      let left: string[] = [];
      for (let tries = 0; tries < 100; tries++) {
        left = foreign(pid);
        if (left.length === 0) break;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return left;
    },
    daemon,
  });
}

function foreign(pid: number): string[] {
  const found: string[] = [];
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    try {
      const to = Deno.readLinkSync(`/proc/${pid}/fd/${name}`);
      if (/^\/dev\/(pts|zero|full)|\/given/.test(to)) found.push(to);
    } catch {
      // Closed meanwhile.
    }
  }
  return found;
}

/** Asks until it is so; nothing tells when processes elsewhere come and go. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!await isSo()) {
    if (performance.now() > deadline) throw new Error("it never came to that");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
