/** The SFTP server of the core: answers as OpenSSH's own does, and what makes no sense ends nothing but its session. */
import { BytePipe } from "../../lib/core/byte_pipe.ts";
import { toHoldfastError } from "../../lib/core/errors.ts";
import { MAX_PACKET, OPEN, PacketWriter, STATUS, TYPE } from "../../lib/files/sftp_packets.ts";
import { serveSftp } from "../../lib/files/sftp_server.ts";
import { MAX_HANDLES } from "../../lib/files/sftp_session.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";

const SERVER = "/usr/lib/openssh/sftp-server";

/** An answer, without its length: its type, and all that follows the id. */
interface Answer {
  type: number;
  body: Uint8Array;
  /** Of a status. */
  status: number | null;
}

/** One SFTP server that is spoken to, and how it ended. */
class Client implements AsyncDisposable {
  #held: Uint8Array<ArrayBufferLike> = new Uint8Array(0);
  #id = 0;
  readonly #read: () => Promise<Uint8Array | null>;
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  readonly #close: () => Promise<void>;

  constructor(
    ends: {
      read(): Promise<Uint8Array | null>;
      write(bytes: Uint8Array): Promise<void>;
      close(): Promise<void>;
    },
  ) {
    this.#read = ends.read;
    this.#write = ends.write;
    this.#close = ends.close;
  }

  static ours(home: string): Client {
    const [input, output] = [new BytePipe(), new BytePipe()];
    const served = serveSftp({ input, output }, { home, onlyUtf8: true });
    return new Client({
      read: () => output.read(),
      write: (bytes) => input.write(bytes),
      async close() {
        input.end();
        await served;
      },
    });
  }

  static openssh(home: string): Client {
    const child = new Deno.Command(SERVER, {
      cwd: home,
      env: { HOME: home },
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const [reader, writer] = [child.stdout.getReader(), child.stdin.getWriter()];
    return new Client({
      read: async () => (await reader.read()).value ?? null,
      write: (bytes) => writer.write(bytes),
      async close() {
        await writer.close();
        await reader.cancel();
        await child.status;
      },
    });
  }

  async greet(): Promise<Answer> {
    await this.#write(new PacketWriter(TYPE.init).u32(3).finish());
    return await this.#answer();
  }

  async ask(type: number, fields: (packet: PacketWriter) => void): Promise<Answer> {
    const packet = new PacketWriter(type).u32(this.#id++);
    fields(packet);
    await this.#write(packet.finish());
    return await this.#answer();
  }

  async #answer(): Promise<Answer> {
    const length = new DataView((await this.#take(4)).buffer).getUint32(0);
    const packet = await this.#take(length);
    const body = packet.slice(5);
    const status = packet[0] === TYPE.status ? new DataView(body.buffer).getUint32(0) : null;
    return { type: packet[0], body, status };
  }

  async #take(count: number): Promise<Uint8Array<ArrayBuffer>> {
    while (this.#held.length < count) {
      const more = await this.#read();
      assert(more, "the server has ended");
      this.#held = new Uint8Array([...this.#held, ...more]);
    }
    const taken = this.#held.slice(0, count);
    this.#held = this.#held.slice(count);
    return taken as Uint8Array<ArrayBuffer>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}

type Step = [what: string, type: number, fields: (packet: PacketWriter, dir: string) => void];

const NOTHING = 0;
/** The first handle of either server. */
const FIRST = new Uint8Array(4);
const named = (name: string) => (packet: PacketWriter, dir: string) =>
  void packet.text(`${dir}/${name}`);
const opening = (name: string, wish: number) => (packet: PacketWriter, dir: string) =>
  void packet.text(`${dir}/${name}`).u32(wish).u32(NOTHING);
const extended = (name: string, ...fields: string[]): Step => [
  name,
  TYPE.extended,
  (packet, dir) => {
    packet.text(name);
    for (const field of fields) packet.text(field.replace("DIR", dir));
  },
];

/** Each is asked of both servers, in this order, in directories alike. */
const STEPS: Step[] = [
  ["no file", TYPE.stat, named("none")],
  ["below a file", TYPE.lstat, named("file/none")],
  ["a loop", TYPE.stat, named("loop")],
  ["a name that is too long", TYPE.stat, named("x".repeat(300))],
  ["a file", TYPE.stat, named("file")],
  ["a relative path", TYPE.lstat, (packet) => void packet.text("file")],
  ["nothing for a path", TYPE.realpath, (packet) => void packet.text("")],
  ["a link", TYPE.lstat, named("link")],
  ["through a link", TYPE.stat, named("link")],
  ["where a link leads", TYPE.readlink, named("link")],
  ["what is none", TYPE.readlink, named("file")],
  ["real path", TYPE.realpath, named("directory/../link")],
  ["real path of what is not there", TYPE.realpath, named("none")],
  ["real path below what is not there", TYPE.realpath, named("none/none")],
  ["reads no file", TYPE.open, opening("none", OPEN.read)],
  ["exclusive", TYPE.open, opening("file", OPEN.write | OPEN.create | OPEN.exclusive)],
  ["writes a directory", TYPE.open, opening("directory", OPEN.write)],
  ["opens", TYPE.open, opening("file", OPEN.read | OPEN.write)],
  ["reads", TYPE.read, (packet) => void packet.bytes(FIRST).u64(2).u32(100)],
  ["reads at the end", TYPE.read, (packet) => void packet.bytes(FIRST).u64(7).u32(100)],
  ["writes", TYPE.write, (packet) => void packet.bytes(FIRST).u64(5).text("after")],
  ["looks at it", TYPE.fstat, (packet) => void packet.bytes(FIRST)],
  ["sets its mode", TYPE.fsetstat, (packet) => void packet.bytes(FIRST).u32(4).u32(0o100640)],
  ["and length", TYPE.fsetstat, (packet) => void packet.bytes(FIRST).u32(1).u64(3)],
  ["reads it as a directory", TYPE.readdir, (packet) => void packet.bytes(FIRST)],
  ["closes it", TYPE.close, (packet) => void packet.bytes(FIRST)],
  ["and again", TYPE.close, (packet) => void packet.bytes(FIRST)],
  ["reads what is closed", TYPE.read, (packet) => void packet.bytes(FIRST).u64(0).u32(1)],
  ["a handle that is none", TYPE.fstat, (packet) => void packet.text("no such handle")],
  ["opens no directory", TYPE.opendir, named("file")],
  ["makes", TYPE.mkdir, (packet, dir) => void packet.text(`${dir}/made`).u32(4).u32(0o710)],
  ["and again", TYPE.mkdir, (packet, dir) => void packet.text(`${dir}/made`).u32(NOTHING)],
  ["looks at that", TYPE.stat, named("made")],
  ["removes a directory", TYPE.remove, named("made")],
  ["removes a full one", TYPE.rmdir, named("directory")],
  ["removes it", TYPE.rmdir, named("made")],
  ["removes no file", TYPE.remove, named("none")],
  [
    "renames onto another",
    TYPE.rename,
    (packet, dir) => void packet.text(`${dir}/file`).text(`${dir}/other`),
  ],
  [
    "renames a directory onto one",
    TYPE.rename,
    (packet, dir) => void packet.text(`${dir}/directory`).text(`${dir}/empty`),
  ],
  ["renames", TYPE.rename, (packet, dir) => void packet.text(`${dir}/file`).text(`${dir}/new`)],
  ["links", TYPE.symlink, (packet, dir) => void packet.text("to ä").text(`${dir}/made`)],
  ["where that leads", TYPE.readlink, named("made")],
  [
    "sets times",
    TYPE.setstat,
    (packet, dir) => void packet.text(`${dir}/new`).u32(8).u32(1).u32(2),
  ],
  ["of no file", TYPE.setstat, (packet, dir) => void packet.text(`${dir}/none`).u32(4).u32(0)],
  extended("posix-rename@openssh.com", "DIR/new", "DIR/other"),
  extended("posix-rename@openssh.com", "DIR/new", "DIR/other"),
  extended("hardlink@openssh.com", "DIR/other", "DIR/twin"),
  extended("hardlink@openssh.com", "DIR/other", "DIR/twin"),
  extended("expand-path@openssh.com", "~/x"),
  extended("expand-path@openssh.com", "~no-such-user-here/x"),
  extended("expand-path@openssh.com", "directory"),
  extended("no-such-extension@openssh.com", "x"),
  ["looks at both", TYPE.stat, named("twin")],
];

const isThere = await Deno.stat(SERVER).then(() => true, () => false);

(isThere ? test : test.needs("sftp-server"))("sftp server: answers as OpenSSH's does", async () => {
  const answers: unknown[] = [];
  for (const start of [Client.openssh, Client.ours]) {
    await using home = await tempDir();
    const dir = home.path;
    await Deno.mkdir(`${dir}/directory/sub`, { recursive: true });
    await Deno.mkdir(`${dir}/empty`);
    await Deno.writeTextFile(`${dir}/file`, "content", { mode: 0o604 });
    await Deno.writeTextFile(`${dir}/other`, "", { mode: 0o600 });
    await Deno.utime(`${dir}/file`, 1e9, 1e9 + 1);
    await Deno.symlink("file", `${dir}/link`);
    await Deno.symlink("loop", `${dir}/loop`);
    await using client = start(dir);
    assertEquals((await client.greet()).type, TYPE.version);
    const said = [];
    for (const [what, type, fields] of STEPS) {
      const answer = await client.ask(type, (packet) => fields(packet, dir));
      said.push([what, answer.type, answer.status ?? comparable(answer, dir)]);
    }
    answers.push(said);
  }
  assertEquals(answers[1], answers[0]);
});

/** What of an answer does not depend on when and where it was given. */
function comparable({ type, body }: Answer, dir: string): unknown {
  const text = new TextDecoder().decode(body);
  if (type === TYPE.name) return text.replaceAll(dir, "DIR");
  if (type !== TYPE.attrs) return [...body];
  const view = new DataView(body.buffer);
  const [flags, size, mode] = [view.getUint32(0), view.getBigUint64(4), view.getUint32(20)];
  // Directories have sizes of their own file system.
  return [flags, mode, (mode & 0o170000) === 0o040000 ? null : size];
}

test("sftp server: a directory's entries, all of them, also when they are many", async () => {
  await using home = await tempDir();
  for (let i = 0; i < 700; i++) await Deno.writeTextFile(home.join(`a long name ${i}`), "");
  await using client = Client.ours(home.path);
  const opened = await client.ask(TYPE.opendir, (packet) => void packet.text("."));
  assertEquals(opened.type, TYPE.handle);
  const found: string[] = [];
  for (;;) {
    const { type, status, body } = await client.ask(
      TYPE.readdir,
      (packet) => void packet.bytes(opened.body.subarray(4)),
    );
    if (type === TYPE.status) {
      assertEquals(status, STATUS.eof);
      break;
    }
    const view = new DataView(body.buffer);
    let at = 4;
    for (let count = view.getUint32(0); count > 0; count--) {
      const [name, line] = [0, 0].map(() => {
        const length = view.getUint32(at);
        at += 4 + length;
        return new TextDecoder().decode(body.subarray(at - length, at));
      });
      at += 32;
      assert(line.endsWith(` ${name}`) && /^[-d][-rwx]{9} +1? /.test(line), line);
      found.push(name);
    }
    assertEquals(at, body.length);
  }
  assertEquals(found.length, 702);
  assertEquals(new Set(found).size, 702);
});

test("sftp server: names that this runtime would mistake are refused, and so is a NUL", async () => {
  await using home = await tempDir();
  await using client = Client.ours(home.path);
  const ask = async (name: Uint8Array) =>
    (await client.ask(TYPE.mkdir, (packet) => void packet.bytes(name).u32(0))).status;
  assertEquals(await ask(new Uint8Array([0xff, 0x61])), STATUS.failure);
  assertEquals(await ask(new Uint8Array([0x61, 0, 0x62])), STATUS.noSuchFile);
  assertEquals([...Deno.readDirSync(home.path)], []);
});

test("sftp server: a fifo keeps nobody waiting", async () => {
  await using home = await tempDir();
  await new Deno.Command("mkfifo", { args: [home.join("fifo")] }).output();
  await using client = Client.ours(home.path);
  const opened = await client.ask(
    TYPE.open,
    (packet) => void packet.text("fifo").u32(OPEN.read).u32(0),
  );
  assertEquals(opened.type, TYPE.handle);
});

test("sftp server: no more is open than a client may have", async () => {
  await using home = await tempDir();
  await using client = Client.ours(home.path);
  const open = () => client.ask(TYPE.opendir, (packet) => void packet.text("."));
  for (let i = 0; i < MAX_HANDLES; i++) assertEquals((await open()).type, TYPE.handle);
  assertEquals((await open()).status, STATUS.failure);
});

test("sftp server: packets that make no sense end the session, and nothing else", async () => {
  await using home = await tempDir();
  const run = async (bytes: Uint8Array): Promise<string> => {
    const [input, output] = [new BytePipe(), new BytePipe()];
    const served = serveSftp({ input, output }, { home: home.path, onlyUtf8: true });
    const read = (async () => {
      while (await output.read());
    })();
    await input.write(bytes).catch(() => {});
    input.end();
    const end = await served.then(() => "served", (error) => toHoldfastError(error).kind);
    output.end();
    await read;
    return end;
  };
  const lengths = [0, MAX_PACKET + 1, 0x7fff_ffff, 0xffff_ffff];
  for (const length of lengths) {
    const bytes = new Uint8Array(64);
    new DataView(bytes.buffer).setUint32(0, length);
    assertEquals(await run(bytes), "protocol", String(length));
  }
  // Whole requests, cut anywhere or with one byte changed: of paths that do not lead out of the home even so.
  await Deno.mkdir(home.join("d"));
  const whole = STEPS.map(([, type, fields], id) => {
    const packet = new PacketWriter(type).u32(id);
    fields(packet, "d");
    return packet.finish();
  });
  const ends = new Set<string>();
  for (const [number, packet] of whole.entries()) {
    for (let at = 0; at < packet.length; at += 3) {
      const changed = packet.slice();
      changed[at] ^= 1 << ((number + at) % 8);
      ends.add(await run(changed));
      const cut = packet.slice(0, Math.max(5, at));
      new DataView(cut.buffer).setUint32(0, cut.length - 4);
      ends.add(await run(cut));
    }
  }
  assertEquals([...ends].sort(), ["protocol", "served"]);
});
