/**
 * The one error class that crosses layers and the wire. Everything that a user may see is a
 * {@linkcode HoldfastError}; anything else that surfaces is a defect and is reported as `internal`.
 */

/**
 * The closed set of error kinds, as they stand on the wire (`{kind, description}`).
 *
 * | kind | meaning |
 * | --- | --- |
 * | `usage` | the user's words are wrong: option, TARGET, path; exit status 2 |
 * | `resolve` | a name could not be resolved, or ssh_config could not be read |
 * | `connect` | no transport to the host (refused, unreachable, proxy failed) |
 * | `kex` | the key exchange failed, before any identity was shown |
 * | `host_key` | the host's key is unknown, changed or revoked |
 * | `auth` | every way to authenticate failed or was refused by the user |
 * | `bootstrap` | the core did not start on the target |
 * | `timeout` | a deadline passed; the description names the phase |
 * | `disconnected` | a link or a context went away while something waited on it |
 * | `no_route` | no such context, or no such handle in it |
 * | `refused` | a policy forbids it |
 * | `limit` | a documented limit was exceeded |
 * | `protocol` | the peer broke the protocol |
 * | `version` | the peer speaks another version |
 * | `not_found` | a file or directory does not exist |
 * | `permission` | the operating system refused access |
 * | `io` | any other failure of a file or process operation |
 * | `corrupt` | content did not verify |
 * | `cancelled` | the caller gave up |
 * | `internal` | a defect in Holdfast |
 */
export type ErrorKind =
  | "usage"
  | "resolve"
  | "connect"
  | "kex"
  | "host_key"
  | "auth"
  | "bootstrap"
  | "timeout"
  | "disconnected"
  | "no_route"
  | "refused"
  | "limit"
  | "protocol"
  | "version"
  | "not_found"
  | "permission"
  | "io"
  | "corrupt"
  | "cancelled"
  | "internal";

/** An error as it stands on the wire. */
export interface WireError {
  kind: ErrorKind;
  description: string;
}

/** An outcome a caller may act on by its {@linkcode ErrorKind}. The message is for people: one or two lines. */
export class HoldfastError extends Error {
  readonly kind: ErrorKind;

  constructor(kind: ErrorKind, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "HoldfastError";
    this.kind = kind;
  }

  toWire(): WireError {
    return { kind: this.kind, description: this.message };
  }
}

/** Wraps anything thrown; a `HoldfastError` passes unchanged, the rest gets `kind`. */
export function toHoldfastError(error: unknown, kind: ErrorKind = "internal"): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new HoldfastError(kind, message, { cause: error });
}
