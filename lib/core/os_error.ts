/** Turns an operating system's error code into a `HoldfastError`; used by every host. */
import { type ErrorKind, HoldfastError } from "./errors.ts";

const KNOWN: Record<string, [kind: ErrorKind, text: string]> = {
  ENOENT: ["not_found", "no such file or directory"],
  EACCES: ["permission", "permission denied"],
  EPERM: ["permission", "operation not permitted"],
  EROFS: ["permission", "the file system is read-only"],
  EEXIST: ["io", "it exists already"],
  ENOTDIR: ["io", "a part of the path is not a directory"],
  EISDIR: ["io", "it is a directory"],
  ENOTEMPTY: ["io", "the directory is not empty"],
  ENOSPC: ["io", "no space left on the device"],
  EDQUOT: ["io", "the disk quota is used up"],
  EFBIG: ["io", "the file is too large"],
  ENAMETOOLONG: ["io", "the name is too long"],
  ELOOP: ["io", "too many levels of symbolic links"],
  EMFILE: ["limit", "too many open files"],
  ENFILE: ["limit", "too many open files on the machine"],
  E2BIG: ["limit", "the command line is too long"],
  EPIPE: ["io", "the reader went away"],
  EIO: ["io", "input/output error"],
};

/** `action` is an infinitive with its object: `read "/etc/motd"`. */
export function osError(action: string, error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const { code, message } = error as { code?: string; message?: string };
  const [kind, text] = KNOWN[code ?? ""] ?? ["io", `${code ?? message ?? error}`];
  return new HoldfastError(kind, `Cannot ${action}: ${text}`, { cause: error });
}

/** Runs `operation` and names it in whatever it throws. */
export async function attempt<T>(action: string, operation: () => Promise<T> | T): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw osError(action, error);
  }
}

/** {@linkcode attempt} for what is done when it returns. */
export function attemptNow<T>(action: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw osError(action, error);
  }
}
