/**
 * What `-o` says of the session itself, which is this process's business; all else is handed on to the daemon, which
 * resolves it with ssh_config. For `ssh_letters.ts`.
 */
import type { ConfigLine } from "./config_line.ts";
import type { Draft } from "./ssh_request.ts";
import {
  isYes,
  logLevel,
  readEscape,
  readPort,
  sessionType,
  terminalWish,
  yesOrNo,
} from "./ssh_values.ts";

/** Connections are shared anyhow; naming them otherwise would only keep the daemon from seeing that they are the same. */
const NEEDLESS = /^control(master|path|persist)$/;

/** Keywords that only the system's ssh can carry out, with the value that asks for nothing. */
const BEYOND: Record<string, RegExp> = {
  tunnel: /^(no|false)$/,
  bindinterface: /^none$/,
  pkcs11provider: /^none$/,
  permitlocalcommand: /^(no|false)$/,
};

/** Of each the first counts. True: it is this process's alone; what made no sense is the daemon's, for ssh to say why. */
const OWN: Record<string, (draft: Draft, value: string) => boolean | void> = {
  user: ({ ssh }, value) => void (ssh.user ??= value),
  port: ({ ssh }, value) => void (ssh.port ??= readPort(value)),
  proxyjump: (draft) => void (draft.proxy ??= "jump"),
  proxycommand: (draft) => void (draft.proxy ??= "command"),
  forwardx11: (draft, value) => void (draft.x11 ||= isYes(value)),
  requesttty: (draft, value) => take(draft, "terminal", terminalWish(value)),
  sessiontype: (draft, value) => take(draft, "session", sessionType(value)),
  stdinnull: (draft, value) => take(draft, "noInput", yesOrNo(value)),
  forkafterauthentication: (draft, value) => take(draft, "background", yesOrNo(value)),
  forwardagent: (draft, value) => {
    if (draft.agent === undefined && yesOrNo(value) === undefined) draft.agentSocket = value;
    return take(draft, "agent", yesOrNo(value) ?? true);
  },
  escapechar: (draft, value) => take(draft, "escape", readEscape(value)),
  loglevel: (draft, value) => take(draft, "logLevel", logLevel(value)),
  controlpath: (draft, value) => void (draft.controlPath ??= value),
  gatewayports: (draft, value) => take(draft, "gatewayPorts", yesOrNo(value)),
};

function take<K extends keyof Draft>(draft: Draft, name: K, value: Draft[K]): boolean {
  if (draft[name] === undefined) draft[name] = value;
  return value !== undefined;
}

/** Takes one `-o` into the request. */
export function applyKeyword(draft: Draft, line: ConfigLine): void {
  const { keyword, arguments: [value], rest } = line;
  if (Object.hasOwn(OWN, keyword) && OWN[keyword](draft, value)) return;
  if (NEEDLESS.test(keyword)) return;
  if (Object.hasOwn(BEYOND, keyword) && !BEYOND[keyword].test(value.toLowerCase())) {
    draft.beyond ??= `-o ${keyword}`;
  }
  draft.ssh.options.push(`${keyword}=${rest}`);
}
