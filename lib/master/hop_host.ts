/**
 * The host interface behind a connection method's tool where no core runs: every process is started through the tool,
 * on a host that has no core either. Made by `hop_endpoint.ts`.
 */
import type { Child, Host, SpawnOptions } from "../core/host.ts";
import { quoteWords } from "../core/quote.ts";
import { withTerminals } from "../parent/local_terminal.ts";
import type { SpawnUrgency } from "./direct_host.ts";
import { discardOutput } from "./discard_output.ts";
import { HeldFiles } from "./held_files.ts";
import { shellFiles } from "./shell_files.ts";
import { trackChild } from "./tracked_child.ts";

export interface HopHostOptions {
  /** Runs a line of a POSIX shell behind the hop. */
  open: (line: string, urgency: SpawnUrgency) => Promise<Child>;
  /** The login shell and home of who one is there. */
  shell: string;
  home: string;
}

export interface HopHost extends Host {
  /** Gives up what is held for files. */
  close(): void;
}

export function hopHost({ open, shell, home }: HopHostOptions): HopHost {
  const urgently = (line: string) => open(line, { urgent: true });
  const spawn = async ({ urgent, ...options }: SpawnOptions & SpawnUrgency) => {
    const token = crypto.randomUUID();
    const child = await open(hopLine(options, token), { urgent });
    return trackChild(child, { token, run: urgently });
  };
  const held = new HeldFiles({ open: () => shellFiles((command) => spawn({ command })) });
  const host: HopHost = {
    ...held.files,
    runtime: "direct",
    runtimePath: null,
    shell,
    home: () => home,
    spawn,
    close: () => held.close(),
  };
  return withTerminals(host, (group, signal) => {
    urgently(`kill -${signal.replace(/^SIG/, "")} -${group}`).then(discardOutput, () => {});
  });
}

/**
 * `options` as a line for the shell that a tool has started. The process leads a group of its own, so that it can be
 * signalled, and tells the group first, or itself where there is no setsid(1). Every word is quoted once: the line itself is one word of the tool's.
 */
export function hopLine({ command, cwd, env }: SpawnOptions, token: string): string {
  const variables = Object.entries(env ?? {}).map(([name, value]) => `${name}=${value}`);
  const words = typeof command === "string" ? [...AS_LOGIN_SHELL, command] : command;
  const script =
    `kill -0 -$$ 2>/dev/null&&echo ${token} -$$||echo ${token} $$;cd "$1"||exit 255;shift;exec env -- "$@"`;
  return "set --;kill -0 -$$ 2>/dev/null||! command -v setsid >/dev/null||set -- setsid;" +
    `exec "$@" ${quoteWords(["sh", "-c", script, "sh", cwd ?? ".", ...variables, ...words])}`;
}

/** As sshd runs a line: shells that let themselves be named get their bare name, which begins their messages. */
const AS_LOGIN_SHELL = [
  "sh",
  "-c",
  'n=${SHELL##*/};case $n in sh|dash|bash|ksh|mksh|zsh)exec "$SHELL" -c "$0" "$n";esac;' +
  'exec "$SHELL" -c "$0"',
];
