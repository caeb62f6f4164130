/**
 * The program `ssh` of a command that runs by `exec --with-ssh`: hands its words and its standard streams to the client
 * that started the command, over a socket. For `net_listener.ts`, which writes it next to that socket.
 *
 * Both directions carry frames: a byte that says what it is, a length u32, and as many bytes.
 */

/** To the client: the words, as JSON; what is typed; its end. */
export const ASK = { words: 1, input: 2, end: 3 } as const;

/** From it: output, errors, and the status in decimal, which is the last. */
export const TELL = { output: 1, errors: 2, status: 3 } as const;

/** The program's text. `socket` is the path. */
export function innerSshProgram(socket: string): string {
  const constants = JSON.stringify({ socket, ASK, TELL });
  return `"use strict";\n(${innerSsh})(${constants},process,require);\n`;
}

/** Its text is the program: it uses nothing but what it is given. */
function innerSsh(
  { socket, ASK, TELL }: {
    socket: string;
    ASK: Record<string, number>;
    TELL: Record<string, number>;
  },
  process: typeof import("node:process"),
  require: (name: string) => unknown,
): void {
  const net = require("node:net") as typeof import("node:net");
  const fs = require("node:fs") as typeof import("node:fs");
  const lost = 255;
  const conn = net.connect({ path: socket });
  let held: Buffer = Buffer.alloc(0);
  let busy = false;
  let ended = false;

  const send = (type: number, bytes: Uint8Array, then?: () => void) => {
    const head = Buffer.alloc(5);
    head[0] = type;
    head.writeUInt32BE(bytes.length, 1);
    conn.write(Buffer.concat([head, bytes]), then);
  };
  // Not by process.stdout: on a pipe that blocks the loop. On Deno not by fs.write either, which goes on after a part and
  // does not tell of it when that fails.
  const { Deno } = globalThis as { Deno?: typeof globalThis.Deno };
  if (Deno?.build.os === "linux") {
    // What does not block (rsync's output) Deno writes in part, and now and then some of it twice.
    try {
      const i32 = "i32";
      const libc = Deno.dlopen("libc.so.6", {
        fcntl: { parameters: [i32, i32, i32], result: i32 },
      });
      const [getFlags, setFlags, nonBlocking] = [3, 4, 2048];
      for (const descriptor of [1, 2]) {
        const flags = libc.symbols.fcntl(descriptor, getFlags, 0);
        if (flags >= 0) libc.symbols.fcntl(descriptor, setFlags, flags & ~nonBlocking);
      }
    } catch {
      // Another library: what does not block is tried again below.
    }
  }
  const write = (descriptor: number, bytes: Buffer): Promise<number> =>
    Deno
      ? Deno[descriptor === 1 ? "stdout" : "stderr"].write(bytes)
      : new Promise((resolve, reject) =>
        fs.write(descriptor, bytes, 0, bytes.length, null, (error, count) =>
          error ? reject(error) : resolve(count))
      );
  const put = (descriptor: number, bytes: Buffer, then: () => void): void => {
    if (bytes.length === 0) return then();
    write(descriptor, bytes).then(
      (count) => put(descriptor, bytes.subarray(count), then),
      (error) => {
        if (error.code !== "EAGAIN") process.exit(lost);
        setTimeout(put, 1, descriptor, bytes, then);
      },
    );
  };
  const next = (): void => {
    if (busy) return;
    const end = held.length < 5 ? 5 : 5 + held.readUInt32BE(1);
    if (held.length < end) {
      if (ended) process.exit(lost);
      return;
    }
    const [type, bytes] = [held[0], held.subarray(5, end)];
    held = held.subarray(end);
    if (type === TELL.status) process.exit(Number(bytes.toString()));
    busy = true;
    conn.pause();
    put(type === TELL.errors ? 2 : 1, bytes, () => {
      busy = false;
      conn.resume();
      next();
    });
  };
  conn.on("data", (bytes) => {
    held = Buffer.concat([held, bytes]);
    next();
  });
  conn.on("error", () => process.exit(lost));
  conn.on("close", () => {
    ended = true;
    next();
  });
  conn.on("connect", () => {
    send(ASK.words, Buffer.from(JSON.stringify(process.argv.slice(2))));
    process.stdin.on("data", (bytes: Buffer) => {
      process.stdin.pause();
      send(ASK.input, bytes, () => process.stdin.resume());
    });
    process.stdin.on("end", () => send(ASK.end, Buffer.alloc(0)));
    process.stdin.on("error", () => send(ASK.end, Buffer.alloc(0)));
  });
}
