/**
 * How the master asks a person something: the question travels to the client that caused it.
 * Implemented by the daemon; used by `authentication.ts` and `host_key_check.ts`.
 */

export interface Question {
  /** Ends with its own punctuation and space; from ssh, safe to show (already neutralised). */
  prompt: string;
  /** Whether the answer may be shown while it is typed. */
  echo: boolean;
  kind: "password" | "passphrase" | "host_key" | "keyboard_interactive";
  /** `user@host:port` */
  host: string;
  /** For the user's askpass program, from ssh: a yes or no, or nothing but a note that is withdrawn in time. */
  hint?: "confirm" | "none";
}

/** Resolves with the answer, or null when it cannot or will not be answered. */
export type Ask = (
  question: Question,
  options?: { signal?: AbortSignal },
) => Promise<string | null>;
