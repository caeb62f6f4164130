/** Reads what POSIX tools say on stderr in the C locale: the one place that knows their words. For `shell_files.ts`. */
import { type ErrorKind, HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";

/** strerror's texts, and those that shells have of their own; they end the line, behind any name. */
const REASONS: [words: RegExp, kind: ErrorKind, text: string][] = [
  [
    /(No such file( or directory)?|nonexistent( directory)?)$/im,
    "not_found",
    "no such file or directory",
  ],
  [/permission denied$/im, "permission", "permission denied"],
  [/not permitted$/im, "permission", "operation not permitted"],
  [/read-only file system$/im, "permission", "the file system is read-only"],
  [/(file exists|overwrite existing file)$/im, "io", "it exists already"],
  [/not a directory$/im, "io", "a part of the path is not a directory"],
  [/is a directory$/im, "io", "it is a directory"],
  [/directory not empty$/im, "io", "the directory is not empty"],
  [/no space left on device$/im, "io", "no space left on the device"],
  [/quota exceeded$/im, "io", "the disk quota is used up"],
  [/file too large$/im, "io", "the file is too large"],
  [/name too long$/im, "io", "the name is too long"],
  [/levels of symbolic links$/im, "io", "too many levels of symbolic links"],
  [/not found$/im, "io", "a program that it takes is missing there"],
];

/** Characters of other words that are shown. */
const SHOWN = 200;

/** `action` is an infinitive with its object: `read "/etc/motd"`. */
export function shellReason(action: string, said: string): HoldfastError {
  for (const [words, kind, text] of REASONS) {
    if (words.test(said)) return new HoldfastError(kind, `Cannot ${action}: ${text}`);
  }
  const quote = printable(said.trim().replace(/\s*\n\s*/g, "; ").slice(-SHOWN));
  return new HoldfastError("io", `Cannot ${action}: ${quote || "it failed without a word"}`);
}
