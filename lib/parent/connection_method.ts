/**
 * What a connection method is: how one tool (sudo, docker, ...) starts a shell at another place of the same
 * machine or beside it. One file each in `methods/`; `open_hop.ts` does what they have in common.
 */
import type { ProcessHost } from "../core/host.ts";

/** What the words are made of. */
export interface HopWords {
  argument?: string;
  /** Only for a method that `takesUser`. */
  user?: string;
  host: ProcessHost;
  terminal: boolean;
}

export interface ConnectionMethod {
  /**
   * The program and its exact words that run `sh -c script` at the other place with our standard streams. They run
   * in `/` on `host`, with a controlling terminal or, in the first attempt, without. Throws `usage` when `argument`
   * makes no sense; one that begins with "-" has been refused before.
   */
  words(script: string, hop: HopWords): string[];
  /** The tool makes HOME, USER, LOGNAME and SHELL the new user's; otherwise the script inside does it. */
  setsLogin?: true;
  /** It can be entered as a certain user, who is not its argument. */
  takesUser?: true;
  /** Nothing can go between us and the shell: neither questions nor a change of user. */
  plain?: true;
  /** The tool may ask for a password: on stderr or its terminal, with a line that is left unfinished. */
  asks?: true;
  /**
   * What it says when it wants a terminal, and where it then reads its password: from `stdin`, a pipe all the same;
   * from its controlling `terminal`; or from a stdin that must be the terminal (`both`).
   */
  terminal?: { wanted: RegExp; reads: "stdin" | "terminal" | "both" };
  /** Directories there that are made for each opening of the hop and end with it: a runtime would not outlast it. */
  fleeting?(hop: { argument?: string }): readonly string[];
  /** What `argument` names: "user". */
  noun: string;
  /** What it says, in English, when there is no such thing. */
  absent?: RegExp;
  /** What it says when the caller may not, whatever the password. What it says else is handed on as it is. */
  denied?: RegExp;
}
