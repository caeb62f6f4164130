/**
 * ssh's command line, understood as OpenSSH 9 and 10 do: words to a request, or to what ssh says to them. Pure; for
 * `ssh_command.ts`. What each option means stands in `ssh_letters.ts`.
 */
import { SSH_LETTERS } from "./ssh_letters.ts";
import type { Draft, SshCommandLine, SshRequest } from "./ssh_request.ts";
import { readPort } from "./ssh_values.ts";
import { WrongWords } from "./wrong_words.ts";

/** What ssh takes in no host name and in no user name. */
const BAD_HOST = /^-|['`"$\\;&<>|(){}\s\p{Cc}]/u;
const BAD_USER = /^-|['`";&<>|(){}\p{Cc}]|\s-|\\$/u;

/** Names that are in order at a glance: compiling the others costs every client a millisecond. */
const PLAIN = /^\w[\w.-]*$/;

/**
 * Reads the words after `ssh`.
 *
 * - Options end at the first word that is none, or at `--`; those behind the destination end at the command.
 * - Flags may be joined, a value be attached or the next word, as getopt has it.
 * - Of user and port the first that is given counts; `-4`, `-b`, `-c`, `-m`, `-q`, `-v`, `-t` and `-T` win over `-o`.
 */
export function parseSshCommandLine(words: readonly string[]): SshCommandLine {
  const draft: Draft = {
    ssh: { identityFiles: [], options: [] },
    printsConfig: false,
    forwards: [],
    x11: false,
  };
  try {
    const before = readOptions(words, draft);
    if ("kind" in before) return before;
    const [destination, ...behind] = before.rest;
    if (destination === undefined) throw new WrongWords("", { usage: true });
    const place = readDestination(destination, draft);
    let command: readonly string[] = behind;
    if (!before.terminated && behind.length > 0) {
      const after = readOptions(behind, draft);
      if ("kind" in after) return after;
      command = after.rest;
    }
    return finish(draft, { ...place, words: command });
  } catch (error) {
    if (!(error instanceof WrongWords)) throw error;
    return { kind: "wrong", message: error.message, usage: error.usage };
  }
}

type Answer = Extract<SshCommandLine, { kind: "version" | "query" }>;

/** Takes the options at the beginning of `words`; what is left, or an answer that ssh gives at once. */
function readOptions(
  words: readonly string[],
  draft: Draft,
): { rest: readonly string[]; terminated: boolean } | Answer {
  let at = 0;
  for (; at < words.length; at++) {
    const word = words[at];
    if (word === "-" || !word.startsWith("-")) break;
    if (word === "--") {
      at++;
      break;
    }
    for (let i = 1; i < word.length; i++) {
      const letter = word[i];
      const spec = Object.hasOwn(SSH_LETTERS, letter) ? SSH_LETTERS[letter] : undefined;
      if (!spec) throw new WrongWords(`unknown option -- ${letter}`, { usage: true });
      if (letter === "V") return { kind: "version" };
      if (spec.value === undefined) {
        spec.apply?.(draft, "");
        continue;
      }
      const attached = word.slice(i + 1);
      const value = attached || words[++at];
      if (value === undefined) {
        throw new WrongWords(`option requires an argument -- ${letter}`, { usage: true });
      }
      if (letter === "Q") return { kind: "query", query: value };
      spec.apply?.(draft, value);
      break;
    }
  }
  // ssh looks at the last word that it took, be it a value.
  return { rest: words.slice(at), terminated: at > 0 && words[at - 1] === "--" };
}

/** A host as ssh names it, or a whole stack, whose own users and ports stay in it. */
function readDestination(
  text: string,
  { ssh }: Draft,
): Pick<SshRequest, "destination" | "isStack"> {
  const given = text.startsWith("ssh://") ? readUri(text.slice(6)) : null;
  if (given) {
    ssh.user ??= given.user;
    ssh.port ??= given.port;
  }
  const place = given?.host ?? text;
  // rsync, scp and sftp cut a stack with users in it at its last "@".
  if (ssh.user?.includes(",")) {
    const destination = `${ssh.user}@${place}`;
    ssh.user = undefined;
    return { destination, isStack: true };
  }
  if (/[,=]/.test(place) || place === "local") {
    if (place.startsWith("-")) throw new WrongWords("hostname contains invalid characters");
    return { destination: place, isStack: true };
  }
  const at = place.lastIndexOf("@");
  if (at === 0) throw new WrongWords("", { usage: true });
  if (at > 0) ssh.user ??= place.slice(0, at);
  const host = place.slice(at + 1);
  if (host === "" || (!PLAIN.test(host) && BAD_HOST.test(host))) {
    throw new WrongWords("hostname contains invalid characters");
  }
  if (ssh.user !== undefined && !PLAIN.test(ssh.user) && BAD_USER.test(ssh.user)) {
    throw new WrongWords("remote username contains invalid characters");
  }
  return { destination: host, isStack: false };
}

/** `[user[;parameters]@]host[:port][/]` */
function readUri(text: string): { host: string; user?: string; port?: number } {
  const [, user, host, port] =
    /^(?:([^@;]+)(?:;[^@]*)?@)?(\[[^\]]*\]|[^:/]+)(?::([^/]*))?\/?$/.exec(text) ?? [];
  const number = port === undefined ? undefined : readPort(port);
  if (host === undefined || (port !== undefined && number === undefined)) {
    throw new WrongWords("", { usage: true });
  }
  try {
    return {
      host: host.replace(/^\[(.*)\]$/, "$1"),
      user: user === undefined ? undefined : decodeURIComponent(user),
      port: number,
    };
  } catch {
    throw new WrongWords("", { usage: true });
  }
}

function finish(
  { proxy: _proxy, ...draft }: Draft,
  { words, ...place }: Pick<SshRequest, "destination" | "isStack"> & { words: readonly string[] },
): SshRequest {
  // No words, and an empty one, are no command.
  const command = words.join(" ") || null;
  if (command === null && draft.session === "subsystem") {
    throw new WrongWords("You must specify a subsystem to invoke.", { usage: true });
  }
  return { kind: "request", ...draft, ...place, command };
}
