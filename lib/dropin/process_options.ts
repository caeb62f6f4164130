/** What `process.exec` is asked for in the name of an SSH session. For the drop-in, and for ssh itself as our client. */
import type { RemoteProcessOptions } from "../client/remote_process.ts";
import type { ExitStatus } from "../core/host.ts";
import type { SessionPlan } from "./session_plan.ts";

/** What ssh ends with when the command was killed, or when it was killed itself. */
export const KILLED = 255;

/** What `process.exec` is asked for. */
export function processOptions(
  { work, env, input, agent }: Pick<SessionPlan, "work" | "env" | "input" | "agent">,
): RemoteProcessOptions {
  const common = {
    input,
    // Without variables of its own a command can be run by a shell that waits for one.
    env: Object.keys(env).length > 0 ? env : undefined,
    agent: agent || undefined,
  };
  switch (work.kind) {
    case "command":
      return { ...common, command: work.line };
    case "subsystem":
      return {
        ...common,
        session: { subsystem: work.name, programs: SFTP_SERVERS },
        command: subsystemProgram(work.name),
      };
    default:
      return { ...common, session: "shell", command: 'exec "$SHELL" -l' };
  }
}

/** ssh tells nobody by which signal a command ended. */
export function statusOf(status: ExitStatus): number {
  return status.signal === null ? status.code : KILLED;
}

/** What an SSH server would run for `sftp`. */
const SFTP_SERVERS = ["lib/openssh", "libexec/openssh", "lib/ssh", "libexec", "lib64/ssh", "lib"]
  .map((place) => `/usr/${place}/sftp-server`);

/** What stands in for a subsystem where neither an SSH server nor a core has it. */
function subsystemProgram(name: string): string[] {
  if (name !== "sftp") {
    return ["sh", "-c", 'echo "holdfast: there is no subsystem $0 here" >&2; exit 1', name];
  }
  return [
    "sh",
    "-c",
    'for p; do [ -x "$p" ] && exec "$p"; done; ' +
    "echo 'holdfast: there is no sftp-server program here' >&2; exit 1",
    "sh",
    ...SFTP_SERVERS,
  ];
}

export type SessionPurpose = "command" | "terminal" | "channel" | "sftp" | "net";

/** What a context is wanted for. */
export function purposeOf(
  { work, terminal, agent }: Pick<SessionPlan, "work" | "terminal" | "agent">,
): SessionPurpose {
  if (terminal) return "terminal";
  if (work.kind === "stdio") return "net";
  if (work.kind === "subsystem" && work.name === "sftp") return "sftp";
  return agent || work.kind === "subsystem" ? "channel" : "command";
}
