/** Control sockets: what is sent over them arrives, descriptors too, and nothing stays open of who has gone. */
import type { HoldfastError } from "../../lib/core/errors.ts";
import { ControlListener, type ControlSocket } from "../../lib/mux/control_socket.ts";
import { libc } from "../../lib/mux/libc.ts";
import { Readiness } from "../../lib/mux/readiness.ts";
import { assertEquals, assertMatch, assertThrows } from "../support/assert.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { openDescriptors } from "./descriptors.ts";

const needs = test.needs("linux", "python3");

/**
 * The other side, driven by lines: `send TEXT COUNT` sends with so many descriptors (files that say their number), `read`
 * prints what comes in hex. It ends with its input.
 */
const PEER = `
import os, socket, sys, tempfile
path = sys.argv[1]
s = socket.socket(socket.AF_UNIX)
s.connect(path)
made = 0
for line in sys.stdin:
    what, *rest = line.split()
    if what == "send":
        fds = []
        for _ in range(int(rest[1])):
            f = tempfile.TemporaryFile()
            f.write(str(made).encode())
            f.flush()
            f.seek(0)
            made += 1
            fds.append(f)
        socket.send_fds(s, [rest[0].encode()], [f.fileno() for f in fds])
    if what == "read": print(s.recv(65536).hex(), flush=True)
    print("done", flush=True)
`;

interface World {
  dir: TempDir;
  listener: ControlListener;
  /** The next that connects. */
  accepted(): Promise<ControlSocket>;
  peer(): Peer;
}

class Peer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncIterator<string>;

  constructor(path: string) {
    this.#child = new Deno.Command("python3", {
      args: ["-c", PEER, path],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#lines = linesOf(this.#child.stdout);
  }

  /** Resolves when it is done, with what it printed. */
  async tell(line: string): Promise<string> {
    await this.#writer.write(new TextEncoder().encode(`${line}\n`));
    let printed = "";
    for (;;) {
      const { value } = await this.#lines.next();
      if (value === "done" || value === undefined) return printed;
      printed += value;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close().catch(() => {});
    for (let left = await this.#lines.next(); !left.done;) left = await this.#lines.next();
    await this.#child.status;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const some of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + some).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

async function check(body: (world: World) => Promise<void>): Promise<void> {
  await using dir = await tempDir();
  const before = openDescriptors();
  const readiness = new Readiness();
  const waiting: ((socket: ControlSocket) => void)[] = [];
  const onAccept = (socket: ControlSocket) => waiting.shift()!(socket);
  const listener = new ControlListener(dir.join("socket"), { readiness, onAccept });
  const accepted = () => new Promise<ControlSocket>((resolve) => waiting.push(resolve));
  try {
    await body({ dir, listener, accepted, peer: () => new Peer(listener.path) });
  } finally {
    listener.close();
    await readiness.close();
  }
  const left = [...openDescriptors()].filter(([number, to]) => before.get(number) !== to);
  assertEquals(left, []);
}

/** Reads until so much has come. */
async function readAll(socket: ControlSocket, length: number): Promise<string> {
  let text = "";
  while (text.length < length) text += new TextDecoder().decode((await socket.read())!);
  return text;
}

/** What each of the descriptors says; closes them. */
function contents(descriptors: number[]): string[] {
  return descriptors.splice(0).map((number) => {
    const text = Deno.readTextFileSync(`/proc/self/fd/${number}`);
    libc().close(number);
    return text;
  });
}

needs(
  "control socket: descriptors come apart from their message, or together with it",
  () =>
    check(async ({ accepted, peer }) => {
      const coming = accepted();
      await using other = peer();
      const socket = await coming;
      await other.tell("send message 0");
      for (let count = 0; count < 3; count++) await other.tell("send + 1");
      assertEquals(await readAll(socket, 10), "message+++");
      assertEquals(contents(socket.descriptors), ["0", "1", "2"]);
      for (let count = 0; count < 3; count++) {
        const reading = readAll(socket, 1);
        await other.tell("send - 1");
        await reading;
      }
      assertEquals(contents(socket.descriptors), ["3", "4", "5"]);
      await other.tell("send together 3");
      assertEquals(await readAll(socket, 8), "together");
      assertEquals(contents(socket.descriptors), ["6", "7", "8"]);
      await other.tell("send none 0");
      assertEquals(await readAll(socket, 4), "none");
      assertEquals(socket.descriptors, []);
      socket.close();
    }),
);

needs(
  "control socket: more descriptors than anybody takes end it, and are closed",
  () =>
    check(async ({ accepted, peer }) => {
      const coming = accepted();
      await using other = peer();
      const socket = await coming;
      await other.tell("send x 100");
      await readAll(socket, 1);
      assertEquals(socket.descriptors.length, 8);
      for (let count = 0; count < 3; count++) await other.tell("send x 8");
      let end: Uint8Array | null = new Uint8Array(0);
      while (end !== null) end = await socket.read();
      socket.close();
      assertEquals(socket.descriptors, []);
    }),
);

needs(
  "control socket: who goes in the middle leaves nothing open",
  () =>
    check(async ({ accepted, peer }) => {
      for (const line of ["send x 2", "send half 0", ""]) {
        const coming = accepted();
        const other = peer();
        const socket = await coming;
        if (line) await other.tell(line);
        await other[Symbol.asyncDispose]();
        let end: Uint8Array | null = new Uint8Array(0);
        while (end !== null) end = await socket.read();
        socket.close();
      }
    }),
);

needs(
  "control socket: answers arrive; who reads none of them is cut off",
  () =>
    check(async ({ accepted, peer }) => {
      const coming = accepted();
      await using other = peer();
      const socket = await coming;
      socket.write(Uint8Array.of(1, 2, 3));
      assertEquals(await other.tell("read"), "010203");
      const reading = socket.read();
      for (let count = 0; count < 10_000; count++) socket.write(new Uint8Array(100));
      assertEquals(await reading, null);
      socket.write(Uint8Array.of(1));
    }),
);

needs(
  "control socket: closing it ends a read, and no number is closed twice",
  () =>
    check(async ({ accepted, peer }) => {
      const coming = accepted();
      await using _other = peer();
      const socket = await coming;
      const reading = socket.read();
      socket.close();
      assertEquals(await reading, null);
      using file = await Deno.open("/dev/null"); // may have the number now
      socket.close();
      assertEquals([await socket.read(), await file.read(new Uint8Array(1))], [null, null]);
    }),
);

needs(
  "control socket: only its user can connect; it goes with its listener",
  () =>
    check(async ({ dir, listener }) => {
      assertEquals((await Deno.stat(listener.path)).mode! & 0o777, 0o600);
      const again = () => new ControlListener(listener.path, { readiness, onAccept() {} });
      const readiness = new Readiness();
      const error = assertThrows(again) as HoldfastError;
      assertMatch(error.message, /^Cannot listen on ".*socket": /);
      await readiness.close();
      listener.close();
      listener.close();
      assertEquals([...Deno.readDirSync(dir.path)], []);
    }),
);
