/** What the tests of connection methods share: a host that is an account's, and a hop with its bytes. */

import { denoHost } from "../../lib/files/host_deno.ts";
import type { ByteSource, Child, Host } from "../../lib/core/host.ts";
import { openHop, type OpenHopOptions } from "../../lib/parent/open_hop.ts";
import type { PasswordQuestion } from "../../lib/parent/tool_talk.ts";
import type { Account } from "../support/accounts.ts";
import { readProcess, waitUntilGone } from "../support/processes.ts";
import type { TempDir } from "../support/temp.ts";

/** This machine as `account` would have it: its processes, its home, and no more right to signal than it has. */
export function hostOf(account: Account, env: Record<string, string> = {}): Host {
  const become = [
    "setpriv",
    `--reuid=${account.uid}`,
    `--regid=${Deno.statSync(account.home).gid}`,
    "--init-groups",
    "env",
    "-i",
    "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin",
    `HOME=${account.home}`,
    `USER=${account.name}`,
    `LOGNAME=${account.name}`,
    "SHELL=/bin/bash",
  ];
  return {
    ...denoHost,
    home: () => account.home,
    async spawn(options) {
      const added = Object.entries({ ...env, ...options.env }).map(([k, v]) => `${k}=${v}`);
      const command = [...become, ...added, ...options.command as string[]];
      const child = await denoHost.spawn({ ...options, command, env: {} });
      const kill = (signal: string) => {
        const args = [...become.slice(1), "kill", "-s", signal.slice(3), "--", `-${child.pid}`];
        new Deno.Command(become[0], { args, stderr: "null" }).outputSync();
      };
      return { ...child, kill };
    },
  };
}

/** This machine with `directory` first on PATH, or alone. */
export function hostWith(directory: string, { only = false } = {}): Host {
  const PATH = only ? directory : `${directory}:${Deno.env.get("PATH")}`;
  return {
    ...denoHost,
    spawn: (options) => denoHost.spawn({ ...options, env: { ...options.env, PATH } }),
  };
}

export interface TestHopOptions extends Partial<Omit<OpenHopOptions, "ask">> {
  method: string;
  argument?: string;
  user?: string;
  /** One for each question, the last again and again. Default: nobody can be asked. */
  passwords?: string[];
  /** What was asked. */
  asked?: PasswordQuestion[];
}

/** `web1,sudo=bob` for `sudo=bob`: as if it were the second hop. */
export function open(
  host: Host,
  { method, argument, user, ...options }: TestHopOptions,
): Promise<Child> {
  const label = `web1,${method}${argument === undefined ? "" : `=${argument}`}`;
  const { passwords = [], asked = [], ...rest } = options;
  return openHop(host, { method, argument, user, label }, {
    line: "exec cat",
    deadline: 20_000,
    ...rest,
    ask(question) {
      asked.push(question);
      return Promise.resolve(passwords[question.attempt - 1] ?? passwords.at(-1) ?? null);
    },
  });
}

export async function readAll(source: ByteSource): Promise<Uint8Array> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  for (let bytes = await source.read(); bytes; bytes = await source.read()) {
    chunks.push(bytes as Uint8Array<ArrayBuffer>);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** What the line of a hop prints, after `input`; the hop ends by itself when its input does. */
export async function converse(
  child: Child,
  input: Uint8Array = new Uint8Array(0),
): Promise<{ stdout: Uint8Array; text: string; stderr: string }> {
  const output = Promise.all([readAll(child.stdout), readAll(child.stderr)]);
  for (let at = 0; at < input.length; at += 65536) {
    await child.stdin.write(input.slice(at, at + 65536));
  }
  await child.stdin.close();
  const [stdout, stderr] = await output;
  await child.exit;
  const [text, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { stdout, text, stderr: errors };
}

/** Every byte value in every neighbourhood that a terminal could mind, more than any pipe holds. */
export function binary(size = 1 << 20): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0, x = 1; i < size; i++) {
    x = (x * 1103515245 + 12345) & 0x7fffffff;
    bytes[i] = x >> 16;
  }
  return bytes;
}

/** Fails unless the process `pid` ends by itself. */
export async function untilGone(pid: number): Promise<void> {
  const left = await waitUntilGone(() => {
    const info = readProcess(pid);
    return info ? [info] : [];
  });
  if (left.length) throw new Error(`Process ${pid} is still there`);
}

export interface StubOptions {
  /** The words that must come first; the next ones are the stub's to `check`. */
  words: string[];
  /** Shell code before the words are checked, and after: `$1` and further are the rest. */
  before?: string;
  then: string;
}

/** An executable in place of `tool` that fails unless it gets exactly the expected words. */
export async function stub(bin: TempDir, tool: string, options: StubOptions): Promise<Host> {
  const { words, before = "", then } = options;
  const checks = words.map((word) =>
    `[ "$1" = '${word}' ]||{ echo "stub: got $1, not ${word}" >&2;exit 99;};shift\n`
  );
  const text = `#!/bin/sh\n${before}\n${checks.join("")}${then}\n`;
  await Deno.writeTextFile(bin.join(tool), text, { mode: 0o755 });
  return hostWith(bin.path);
}
