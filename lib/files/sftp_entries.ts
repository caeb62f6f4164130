/** What SFTP says of a file: its attributes, and the line that `ls -l` would print of it. For `sftp_server.ts`. */
import type { AccountNames } from "./account_names.ts";
import { HAS, type PacketWriter } from "./sftp_packets.ts";

/** What node's `Stats` have that matters here. */
export interface Stats {
  mode: number;
  size: number;
  uid: number;
  gid: number;
  nlink: number;
  /** Milliseconds since the epoch. */
  atimeMs: number;
  mtimeMs: number;
}

const TYPES: Record<number, string> = {
  0o010000: "p",
  0o020000: "c",
  0o040000: "d",
  0o060000: "b",
  0o100000: "-",
  0o120000: "l",
  0o140000: "s",
};
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
/** Seconds after which a date has its year in place of the time. */
const HALF_A_YEAR = 365 * 12 * 3600;

export function writeAttributes(packet: PacketWriter, stats: Stats): void {
  packet.u32(HAS.size | HAS.owner | HAS.mode | HAS.times)
    .u64(Math.max(0, stats.size))
    .u32(stats.uid)
    .u32(stats.gid)
    .u32(stats.mode)
    .u32(seconds(stats.atimeMs))
    .u32(seconds(stats.mtimeMs));
}

/** The line without the name at its end. */
export function longLine(stats: Stats, owners: AccountNames): string {
  const { nlink, uid, gid, size, mtimeMs } = stats;
  const owner = `${owners.user(uid).padEnd(8)} ${owners.group(gid).padEnd(8)}`;
  return `${permissions(stats.mode)} ${String(nlink).padStart(4)} ${owner} ${
    String(size).padStart(8)
  } ${date(mtimeMs)}`;
}

function permissions(mode: number): string {
  const letters = [...(TYPES[mode & 0o170000] ?? "?"), ..."rwxrwxrwx"];
  for (let bit = 0; bit < 9; bit++) if (!(mode & (0o400 >> bit))) letters[bit + 1] = "-";
  const special = [[0o4000, 3, "s"], [0o2000, 6, "s"], [0o1000, 9, "t"]] as const;
  for (const [bit, at, letter] of special) {
    if (mode & bit) letters[at] = letters[at] === "x" ? letter : letter.toUpperCase();
  }
  return letters.join("");
}

function date(time: number): string {
  const when = new Date(time);
  const age = (Date.now() - time) / 1000;
  const clock = [when.getHours(), when.getMinutes()].map((part) => String(part).padStart(2, "0"));
  const end = age >= 0 && age < HALF_A_YEAR ? clock.join(":") : ` ${when.getFullYear()}`;
  return `${MONTHS[when.getMonth()]} ${String(when.getDate()).padStart(2)} ${end}`;
}

/** As the protocol has them: 32 bits without a sign. */
function seconds(milliseconds: number): number {
  return Math.min(Math.max(Math.floor(milliseconds / 1000), 0), 0xffff_ffff);
}
