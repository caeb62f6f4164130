/**
 * Serves SFTP version 3 as OpenSSH's sftp-server does, to sftp, scp and sshfs, where there is no such program. One
 * implementation for every runtime, over node's `fs`. For `sftp_service.ts`.
 */
import type { ByteSink, ByteSource } from "../core/host.ts";
import { toHoldfastError } from "../core/errors.ts";
import { PacketReader, PacketSplitter, PacketWriter, STATUS, TYPE } from "./sftp_packets.ts";
import { REQUESTS, versionPacket } from "./sftp_requests.ts";
import { Refusal, type SftpOptions, SftpSession } from "./sftp_session.ts";

/** What a client is told beside a status. */
const WORDS = [
  "Success",
  "End of file",
  "No such file",
  "Permission denied",
  "Failure",
  "Bad message",
  "No connection",
  "Connection lost",
  "Operation unsupported",
];

/** As OpenSSH's server translates them; everything else is a failure. */
const OF_SYSTEM: Record<string, number> = {
  ENOENT: STATUS.noSuchFile,
  ENOTDIR: STATUS.noSuchFile,
  EBADF: STATUS.noSuchFile,
  ELOOP: STATUS.noSuchFile,
  EPERM: STATUS.permissionDenied,
  EACCES: STATUS.permissionDenied,
  EFAULT: STATUS.permissionDenied,
  ENAMETOOLONG: STATUS.badMessage,
  EINVAL: STATUS.badMessage,
  ENOSYS: STATUS.unsupported,
};

/**
 * Serves until the client has sent all that it has. Requests are carried out one after the other, in their order.
 * Rejects with `protocol` when the client does not speak SFTP. All that was open is closed either way.
 */
export async function serveSftp(
  { input, output }: { input: ByteSource; output: ByteSink },
  options: SftpOptions,
): Promise<void> {
  const session = new SftpSession(options);
  const splitter = new PacketSplitter();
  try {
    for (let bytes = await input.read(); bytes; bytes = await input.read()) {
      for (const packet of splitter.split(bytes)) await output.write(await answer(session, packet));
    }
  } finally {
    await session.close();
  }
}

async function answer(session: SftpSession, bytes: Uint8Array): Promise<Uint8Array> {
  const packet = new PacketReader(bytes);
  const type = packet.byte();
  if (type === TYPE.init) return versionPacket(session).finish();
  const id = packet.u32();
  let status: number = STATUS.ok;
  try {
    if (!Object.hasOwn(REQUESTS, type)) throw new Refusal(STATUS.unsupported);
    const answer = await REQUESTS[type](session, packet, id);
    if (answer) return answer instanceof Uint8Array ? answer : answer.finish();
  } catch (error) {
    if (toHoldfastError(error).kind === "protocol") throw error;
    const { code } = error as { code?: string };
    status = error instanceof Refusal ? error.status : OF_SYSTEM[code ?? ""] ?? STATUS.failure;
  }
  return new PacketWriter(TYPE.status).u32(id).u32(status).text(WORDS[status]).text("").finish();
}
