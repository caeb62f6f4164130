/**
 * The file half of the host interface with nothing but a POSIX shell and the usual small tools at the other end, GNU's,
 * busybox's or BSD's. Used by `direct_host.ts` where there is no SFTP, and by `hop_host.ts`.
 */
import type { Child, FileInfo, OpenFile } from "../core/host.ts";
import { type CheckTool, checkTool } from "./content_check.ts";
import type { FileSession, HostFiles } from "./held_files.ts";
import { ShellReader } from "./shell_reader.ts";
import { shellReason } from "./shell_reason.ts";
import { lineWord, openShell, type ShellTalk } from "./shell_talk.ts";
import { ShellWriter } from "./shell_writer.ts";

/** How the tools there want it. */
interface Dialect {
  /** Words that print mode, size and time of what follows; how the mode is written. */
  stat: string;
  radix: 16 | 8;
  /** An option of mv that keeps it from moving into a directory. */
  onto: string;
  check: CheckTool;
}

const GNU_STAT = 'stat -c "%f %s %Y"';
const BSD_STAT = 'stat -f "%p %z %m"';
/** What a line that fails on purpose says, as the tools would. */
const FAIL = (reason: string) => `{ echo ${lineWord(reason)} >&2;exit 1;}`;

/** What the shell there has, in one line each; missing ones are empty. */
const LOOK_AROUND =
  `if ${GNU_STAT} / >/dev/null 2>&1;then echo gnu;elif ${BSD_STAT} / >/dev/null 2>&1;then echo bsd;` +
  `else echo;fi;case $(mv --help 2>&1) in *-T*)echo -T;;*)echo;esac;` +
  `for t in sha256sum shasum openssl cksum;do command -v $t >/dev/null&&break;t=;done;echo $t`;

/** Starts a shell by `start` and serves files through it. */
export async function shellFiles(
  start: (words: string[]) => Promise<Child>,
): Promise<FileSession> {
  const shell = await openShell(start);
  const { data } = await shell.run(LOOK_AROUND);
  const [stat, onto, tool] = new TextDecoder().decode(data).split("\n");
  const dialect: Dialect = {
    ...stat === "bsd" ? { stat: BSD_STAT, radix: 8 } : { stat: GNU_STAT, radix: 16 },
    onto,
    check: checkTool(tool),
  };
  return { files: filesOf(shell, dialect), closed: shell.closed, close: () => shell.close() };
}

function filesOf(shell: ShellTalk, { stat, radix, onto, check }: Dialect): HostFiles {
  /** Files that are being written: their mode and time are set when they are complete. */
  const writers = new Map<string, ShellWriter>();
  const named = async (what: string, path: string, line: (word: string) => string) => {
    const reply = await shell.run(line(pathWord(path)));
    if (reply.status === 0) return reply.data;
    throw shellReason(`${what} ${JSON.stringify(path)}`, reply.said);
  };
  const info = async (path: string, option: string) => {
    const data = await named("look at", path, (word) => `${stat} ${option} ${word}`);
    return infoOf(new TextDecoder().decode(data), radix);
  };
  return {
    stat: (path) => info(path, "-L"),
    lstat: (path) => info(path, ""),
    async readDir(path) {
      // The shell's own patterns take any name; only ls says why a directory cannot be entered.
      const data = await named(
        "read directory",
        path,
        (word) =>
          `ls -d ${word}/. >/dev/null&&cd ${word}/.&&{ [ -r . ]||${FAIL("permission denied")};}&&` +
          'for f in * .[!.]* ..?*;do [ -e "$f" ]||[ -L "$f" ]||continue;printf "%s\\0" "$f";done',
      );
      return new TextDecoder().decode(data).split("\0").slice(0, -1);
    },
    readLink: async (path) =>
      new TextDecoder().decode(await named("read link", path, (word) => `readlink -n ${word}`)),
    symlink: async (target, path) =>
      void await named(
        "make link",
        path,
        (word) =>
          `if [ -e ${word} ]||[ -L ${word} ];then ${FAIL("file exists")};fi;` +
          `ln -s -- ${lineWord(target)} ${word}`,
      ),
    mkdir: async (path, mode) =>
      void await named("make directory", path, (word) => `mkdir -m ${octal(mode)} ${word}`),
    rename: async (from, to) =>
      void await named(
        "replace",
        to,
        (word) =>
          `if [ -d ${word} ]&&[ ! -L ${word} ];then ${FAIL("is a directory")};fi;` +
          // Where mv cannot be told, it would move into what a link leads to.
          (onto ? "" : `[ ! -L ${word} ]||rm -f ${word};`) +
          `mv -f ${onto} ${pathWord(from)} ${word}`,
      ),
    remove: async (path) =>
      void await named(
        "remove",
        path,
        (word) => `if [ -d ${word} ]&&[ ! -L ${word} ];then rmdir ${word};else rm ${word};fi`,
      ),
    async chmod(path, mode) {
      const writer = writers.get(path);
      if (writer) return writer.setMode(mode);
      // Five digits, or GNU's chmod keeps the set-id bits of a directory.
      await named("set mode of", path, (word) => `chmod 0${octal(mode)} ${word}`);
    },
    async setTime(path, mtime) {
      const writer = writers.get(path);
      if (writer) return writer.setTime(stamp(mtime));
      await named("set time of", path, (word) => `TZ=UTC0 touch -c -t ${stamp(mtime)} ${word}`);
    },
    openRead: (path) => ShellReader.open(shell, { path, word: pathWord(path) }),
    async create(path, mode): Promise<OpenFile> {
      const mask = mode === undefined ? "" : "umask 077;";
      await named("create", path, (word) => `${mask}set -C;: >${word}`);
      const writer = new ShellWriter(shell, {
        path,
        word: pathWord(path),
        mode,
        check,
        onClose: () => writers.delete(path),
      });
      writers.set(path, writer);
      return writer;
    },
  };
}

/** A path as one word of a line, that no tool takes for an option. */
function pathWord(path: string): string {
  return lineWord(path.startsWith("/") ? path : `./${path}`);
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}

/** As touch -t wants it, in UTC. */
function stamp(mtime: number): string {
  const date = new Date(Math.min(Math.max(0, mtime), Date.UTC(9999, 11, 31)));
  const [year, month, day, hours, minutes, seconds] = date.toISOString().match(/\d+/g)!;
  return `${year}${month}${day}${hours}${minutes}.${seconds}`;
}

function infoOf(text: string, radix: number): FileInfo {
  const [mode, size, mtime] = text.trim().split(" ");
  const bits = parseInt(mode, radix);
  const types: Record<number, FileInfo["type"]> = {
    0o10: "file",
    0o04: "directory",
    0o12: "symlink",
  };
  return {
    type: types[bits >> 12] ?? "other",
    mode: bits & 0o7777,
    size: Number(size),
    mtime: Number(mtime) * 1000,
  };
}
