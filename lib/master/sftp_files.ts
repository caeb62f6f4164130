import type { Host } from "../core/host.ts";
import type { SFTPWrapper } from "./ssh2.ts";
export type SftpFiles = Omit<Host, "spawn" | "runtime">;
export function sftpFiles(_sftp: SFTPWrapper): SftpFiles {
  throw new Error("being written");
}
