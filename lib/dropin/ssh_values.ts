/** Values of ssh's options and of ssh_config, as ssh reads them; undefined where they make no sense. Pure. */
import { LOG_LEVELS, type LogLevel, type SessionType, type TerminalWish } from "./ssh_request.ts";

/** ssh's names for its values, and the same in ours. */
const TERMINALS: Record<string, TerminalWish> = {
  yes: "yes",
  true: "yes",
  no: "no",
  false: "no",
  force: "force",
  auto: "auto",
};
const SESSIONS: readonly SessionType[] = ["default", "none", "subsystem"];

/** Digits only; undefined when it is no port. */
export function readPort(text: string): number | undefined {
  const port = Number(text);
  return /^\d+$/.test(text) && port > 0 && port <= 65535 ? port : undefined;
}

/** `none`, a character, or `^` and one for a control character; undefined when it is neither. */
export function readEscape(text: string): string | null | undefined {
  if (text === "none") return null;
  if (text.length === 1) return text;
  const code = text.charCodeAt(1);
  if (text.length !== 2 || text[0] !== "^" || code < 64 || code > 127) return undefined;
  return String.fromCharCode(code & 31);
}

/** As ssh_config has it, also with the words in which `ssh -G` prints it; undefined when it is none. */
export function terminalWish(value: string | undefined): TerminalWish | undefined {
  const name = value?.toLowerCase() ?? "";
  return Object.hasOwn(TERMINALS, name) ? TERMINALS[name] : undefined;
}

export function sessionType(value: string | undefined): SessionType | undefined {
  return SESSIONS.find((name) => name === value?.toLowerCase());
}

export function logLevel(value: string | undefined): LogLevel | undefined {
  const name = value?.toUpperCase();
  if (name === "SILENT") return "QUIET";
  if (name === "DEBUG") return "DEBUG1";
  return LOG_LEVELS.find((level) => level === name);
}

export function isYes(value: string | undefined): boolean {
  return /^(yes|true)$/i.test(value ?? "");
}

export function yesOrNo(value: string): boolean | undefined {
  return isYes(value) ? true : /^(no|false)$/i.test(value) ? false : undefined;
}
