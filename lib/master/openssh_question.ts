/** What OpenSSH's client asks through its askpass program, as a question of ours. Used by `openssh_endpoint.ts`. */

import { printable } from "../core/printable.ts";
import type { Question } from "./ask.ts";
import type { SshSettings } from "./ssh_settings.ts";
import { describe } from "./ssh_socket.ts";

/** As ssh puts it to the program. */
export interface AskpassQuestion {
  prompt: string;
  /** SSH_ASKPASS_PROMPT: `confirm` wants a yes or no, `none` only tells something (touch the key) until it is over. */
  hint: "confirm" | "none" | null;
}

/** `ann@web1's password: `, and what a host asks itself: `(ann@web1) Password: `. */
const BY_HOST = /^(?:\(([^()\s]+)\) |([^\s']+)'s password: )/;

/** `isForPassword`: the target wants the user's password, so that one that is known may be given. */
export function questionFor(
  settings: SshSettings,
  { prompt, hint }: AskpassQuestion,
): { question: Question; isForPassword: boolean } {
  const match = BY_HOST.exec(prompt);
  const asker = match === null ? null : match[1] ?? match[2];
  // ssh cuts both in its prompts.
  const target = `${settings.user.slice(0, 30)}@${
    (settings.hostKeyAlias ?? settings.hostname).slice(0, 128)
  }`;
  const isTarget = asker === target;
  const kind = /\(yes\/no/.test(prompt)
    ? "host_key"
    : match?.[2] !== undefined
    ? "password"
    : match !== null
    ? "keyboard_interactive"
    : "passphrase";
  const question: Question = {
    prompt: printable(prompt, { multiline: true }),
    echo: kind === "host_key" || hint !== null,
    kind,
    host: asker === null || isTarget ? describe(settings) : printable(asker),
  };
  if (hint !== null) question.hint = hint;
  const isForPassword = isTarget && (kind === "password" || /password/i.test(prompt));
  return { question, isForPassword };
}
