/** What each request of SFTP does, one entry for each, and OpenSSH's extensions to it. For `sftp_server.ts`. */
import { longLine, type Stats, writeAttributes } from "./sftp_entries.ts";
import {
  MAX_DATA,
  MAX_PACKET,
  type PacketReader,
  PacketWriter,
  SFTP_VERSION,
  type SftpAttributes,
  STATUS,
  TYPE,
} from "./sftp_packets.ts";
import { joinPath, MAX_HANDLES, Refusal, type SftpSession } from "./sftp_session.ts";

/** A directory's entries in one answer, as OpenSSH has it. */
const NAMES = 100;

const SLASH = 0x2f;
const SPACE = 0x20;

/** Bytes of an answer before the data that was read. */
const HEAD = 13;

/** An answer: a packet, or void when all that is to be said is that it went well. */
export type Request = (
  session: SftpSession,
  packet: PacketReader,
  id: number,
) => Promise<PacketWriter | Uint8Array | void>;

export const REQUESTS: Readonly<Record<number, Request>> = {
  async [TYPE.open](session, packet, id) {
    const path = session.path(packet);
    const wish = packet.u32();
    const { mode = 0o666 } = packet.attributes();
    return handlePacket(id, await session.openFile(path, { wish, mode }));
  },
  [TYPE.close]: (session, packet) => session.closeHandle(packet),

  async [TYPE.read](session, packet, id) {
    const file = session.file(packet);
    const offset = packet.u64();
    const wanted = Math.min(packet.u32(), MAX_DATA);
    const answer = new Uint8Array(HEAD + wanted);
    const { bytesRead } = await file.read(answer, HEAD, wanted, offset);
    if (bytesRead === 0) throw new Refusal(STATUS.eof);
    const head = new DataView(answer.buffer);
    head.setUint32(0, HEAD - 4 + bytesRead);
    head.setUint8(4, TYPE.data);
    head.setUint32(5, id);
    head.setUint32(9, bytesRead);
    return answer.subarray(0, HEAD + bytesRead);
  },
  async [TYPE.write](session, packet) {
    const file = session.file(packet);
    const offset = packet.u64();
    const bytes = packet.bytes();
    for (let at = 0; at < bytes.length;) {
      at += (await file.write(bytes, at, bytes.length - at, offset + at)).bytesWritten;
    }
  },

  [TYPE.lstat]: async (session, packet, id) =>
    attributesPacket(id, await session.fs.lstat(session.path(packet))),
  [TYPE.stat]: async (session, packet, id) =>
    attributesPacket(id, await session.fs.stat(session.path(packet))),
  [TYPE.fstat]: async (session, packet, id) =>
    attributesPacket(id, await session.file(packet).stat()),

  [TYPE.setstat]: async (session, packet) => {
    const { fs } = session;
    const path = session.path(packet);
    await setAttributes(packet.attributes(), {
      truncate: (size) => fs.truncate(path, size),
      chmod: (mode) => fs.chmod(path, mode),
      utimes: (atime, mtime) => fs.utimes(path, atime, mtime),
      chown: (uid, gid) => fs.chown(path, uid, gid),
    });
  },
  [TYPE.fsetstat]: async (session, packet) => {
    const file = session.file(packet);
    await setAttributes(packet.attributes(), file);
  },

  async [TYPE.opendir](session, packet, id) {
    return handlePacket(id, await session.openDirectory(session.absolute(packet.bytes())));
  },
  async [TYPE.readdir](session, packet, id) {
    const directory = session.directory(packet);
    const accounts = await session.accounts();
    const entries = new PacketWriter(TYPE.name);
    let count = 0;
    while (count === 0 && directory.at < directory.names.length) {
      const names = directory.names.slice(directory.at, directory.at + NAMES);
      directory.at += names.length;
      const looked = await Promise.all(names.map((name) => {
        const path = joinPath(directory.path, name);
        return session.fs.lstat(session.encode(path)).catch(() => null);
      }));
      for (const [index, stats] of looked.entries()) {
        // It has gone since.
        if (!stats) continue;
        const name = names[index];
        const line = new TextEncoder().encode(longLine(stats, accounts));
        entries.bytes(name).u32(line.length + 1 + name.length).raw(line).byte(SPACE).raw(name);
        writeAttributes(entries, stats);
        count++;
      }
    }
    if (count === 0) throw new Refusal(STATUS.eof);
    return new PacketWriter(TYPE.name).u32(id).u32(count).raw(entries.content);
  },

  async [TYPE.remove](session, packet) {
    const { fs } = session;
    const path = session.path(packet);
    // Deno would remove an empty directory.
    if ((await fs.lstat(path)).isDirectory()) throw new Refusal(STATUS.failure);
    await fs.unlink(path);
  },
  async [TYPE.mkdir](session, packet) {
    const path = session.path(packet);
    await session.fs.mkdir(path, { mode: packet.attributes().mode ?? 0o777 });
  },
  [TYPE.rmdir]: (session, packet) => session.fs.rmdir(session.path(packet)),

  async [TYPE.realpath](session, packet, id) {
    return namePacket(id, await realPath(session, packet.bytes()));
  },
  async [TYPE.rename](session, packet) {
    const { fs } = session;
    const [from, to] = [session.path(packet), session.path(packet)];
    const stats = await fs.lstat(from);
    // SFTP replaces nothing. Not all file systems have links, and nothing else makes sure of it.
    if (stats.isFile()) {
      const failure = await fs.link(from, to).then(() => null, (error) => error);
      if (!failure) return await fs.unlink(from);
      if (!["EPERM", "ENOSYS", "EOPNOTSUPP", "ENOTSUP", "EMLINK"].includes(failure.code)) {
        throw failure;
      }
    }
    if (await fs.lstat(to).catch(() => null)) throw new Refusal(STATUS.failure);
    await fs.rename(from, to);
  },
  async [TYPE.readlink](session, packet, id) {
    const path = session.path(packet);
    return namePacket(id, await session.fs.readlink(path, { encoding: "buffer" }));
  },
  async [TYPE.symlink](session, packet) {
    // OpenSSH has the arguments of the draft the other way round, and so have all others now.
    const target = session.encode(packet.bytes());
    await session.fs.symlink(target, session.path(packet));
  },

  async [TYPE.extended](session, packet, id) {
    const name = packet.text();
    if (!Object.hasOwn(EXTENSIONS, name)) throw new Refusal(STATUS.unsupported);
    return await EXTENSIONS[name].request(session, packet, id);
  },
};

/** OpenSSH's extensions, by name, with the version in which they are announced. */
const EXTENSIONS: Readonly<Record<string, { version: string; request: Request }>> = {
  "posix-rename@openssh.com": {
    version: "1",
    async request(session, packet) {
      const from = session.path(packet);
      await session.fs.rename(from, session.path(packet));
    },
  },
  "statvfs@openssh.com": {
    version: "2",
    request: statfs,
  },
  "hardlink@openssh.com": {
    version: "1",
    async request(session, packet) {
      const from = session.path(packet);
      await session.fs.link(from, session.path(packet));
    },
  },
  "fsync@openssh.com": {
    version: "1",
    request: (session, packet) => session.file(packet).sync(),
  },
  "lsetstat@openssh.com": {
    version: "1",
    async request(session, packet) {
      const { fs } = session;
      const path = session.path(packet);
      await setAttributes(packet.attributes(), {
        truncate: unsupported,
        chmod: unsupported,
        utimes: (atime, mtime) => fs.lutimes(path, atime, mtime),
        chown: (uid, gid) => fs.lchown(path, uid, gid),
      });
    },
  },
  "limits@openssh.com": {
    version: "1",
    // deno-lint-ignore require-await
    request: async (_session, _packet, id) =>
      new PacketWriter(TYPE.extendedReply).u32(id)
        .u64(MAX_PACKET).u64(MAX_DATA).u64(MAX_DATA).u64(MAX_HANDLES),
  },
  "expand-path@openssh.com": {
    version: "1",
    async request(session, packet, id) {
      const path = packet.bytes();
      const [, user, rest] = /^~([^/]*)(.*)$/s.exec(new TextDecoder().decode(path)) ?? [];
      if (user === undefined) return namePacket(id, await realPath(session, path));
      const home = await homeOf(session, user);
      const whole = new TextEncoder().encode(`${home}${rest}`);
      return namePacket(id, await realPath(session, whole));
    },
  },
  "home-directory": {
    version: "1",
    async request(session, packet, id) {
      return namePacket(id, new TextEncoder().encode(await homeOf(session, packet.text())));
    },
  },
};

/** The answer to a client's greeting. */
export function versionPacket({ fs }: SftpSession): PacketWriter {
  const packet = new PacketWriter(TYPE.version).u32(SFTP_VERSION);
  for (const [name, { version, request }] of Object.entries(EXTENSIONS)) {
    if (request !== statfs || "statfs" in fs) packet.text(name).text(version);
  }
  return packet;
}

interface Settable {
  truncate(size: number): Promise<void>;
  chmod(mode: number): Promise<void>;
  utimes(atime: number, mtime: number): Promise<void>;
  chown(uid: number, gid: number): Promise<void>;
}

async function setAttributes(wanted: SftpAttributes, file: Settable): Promise<void> {
  const { size, mode, times, owner } = wanted;
  if (size !== undefined) await file.truncate(size);
  if (mode !== undefined) await file.chmod(mode);
  if (times) await file.utimes(times.access, times.modification);
  if (owner) await file.chown(owner.user, owner.group);
}

function unsupported(): never {
  throw new Refusal(STATUS.unsupported);
}

/** With all links followed. The last part need not exist. */
async function realPath(session: SftpSession, name: Uint8Array): Promise<Uint8Array> {
  const path = session.absolute(name);
  const real = (path: Uint8Array) =>
    session.fs.realpath(session.encode(path), { encoding: "buffer" });
  try {
    return await real(path);
  } catch (error) {
    const end = path.lastIndexOf(SLASH);
    if ((error as { code?: string }).code !== "ENOENT" || end < 0) throw error;
    const directory = await real(end === 0 ? path.subarray(0, 1) : path.subarray(0, end));
    return joinPath(directory.length === 1 ? new Uint8Array(0) : directory, path.subarray(end + 1));
  }
}

async function homeOf(session: SftpSession, user: string): Promise<string> {
  if (user === "") return session.home;
  const home = (await session.accounts()).home(user);
  if (home === undefined) throw new Refusal(STATUS.noSuchFile);
  return home;
}

async function statfs(
  session: SftpSession,
  packet: PacketReader,
  id: number,
): Promise<PacketWriter> {
  const path = session.path(packet);
  // node 18 begins without it.
  if (!("statfs" in session.fs)) return unsupported();
  const { bsize, blocks, bfree, bavail, files, ffree } = await session.fs.statfs(path);
  const answer = new PacketWriter(TYPE.extendedReply).u32(id);
  const [identity, flags, longestName] = [0, 0, 255];
  for (const value of [bsize, bsize, blocks, bfree, bavail, files, ffree, ffree]) answer.u64(value);
  return answer.u64(identity).u64(flags).u64(longestName);
}

function handlePacket(id: number, handle: number): PacketWriter {
  return new PacketWriter(TYPE.handle).u32(id).u32(4).u32(handle);
}

function attributesPacket(id: number, stats: Stats): PacketWriter {
  const packet = new PacketWriter(TYPE.attrs).u32(id);
  writeAttributes(packet, stats);
  return packet;
}

/** One name, whose attributes nobody asked for. */
function namePacket(id: number, name: Uint8Array): PacketWriter {
  return new PacketWriter(TYPE.name).u32(id).u32(1).bytes(name).bytes(name).u32(0);
}
