/**
 * OpenSSH's multiplexing protocol (PROTOCOL.mux), as much of it as turns a connection to a master's control socket
 * into a way for plain SSH packets: hello, then "proxy". Used by `openssh_endpoint.ts`.
 */

import { Buffer } from "node:buffer";
import { Socket } from "node:net";
import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";

const HELLO = 0x00000001;
const PROXY = 0x1000000f;
const PROXY_GRANTED = 0x8000000f;
const VERSION = 4;
/** Bytes of an answer; a refusal has one line of text. */
const LONGEST_ANSWER = 4096;
/** Ours; any number will do. */
const REQUEST = 1;

/**
 * Connects to the control socket at `path`. Rejects with kind `connect`, `protocol` or `refused`; aborting rejects with
 * the signal's reason.
 */
export async function openMuxProxy(path: string, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  const socket = new Socket();
  const abort = () => socket.destroy(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.connect({ path }, resolve);
    });
    const answers = readAnswers(socket);
    socket.write(message(HELLO, VERSION));
    const hello = await next(answers);
    if (hello.readUInt32BE(0) !== HELLO || hello.readUInt32BE(4) !== VERSION) {
      throw new HoldfastError("protocol", "OpenSSH's client speaks another multiplexing protocol");
    }
    socket.write(message(PROXY, REQUEST));
    const answer = await next(answers);
    if (answer.readUInt32BE(0) !== PROXY_GRANTED) {
      const reason = printable(answer.subarray(12).toString("latin1"));
      throw new HoldfastError("refused", `OpenSSH's client refuses to be shared: ${reason}`);
    }
    socket.removeAllListeners("error");
    socket.on("error", () => {}); // until ssh2 listens
    return socket;
  } catch (error) {
    socket.destroy();
    if (signal.aborted) throw signal.reason;
    if (error instanceof HoldfastError) throw error;
    throw new HoldfastError(
      "connect",
      `OpenSSH's client cannot be reached: ${printable((error as Error).message)}`,
      { cause: error },
    );
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function message(...words: number[]): Buffer {
  const bytes = Buffer.alloc(4 + 4 * words.length);
  bytes.writeUInt32BE(4 * words.length, 0);
  words.forEach((word, index) => bytes.writeUInt32BE(word, 4 + 4 * index));
  return bytes;
}

/** The answers, each without its length. Nothing of what follows them is read. */
async function* readAnswers(socket: Socket): AsyncGenerator<Buffer, void> {
  for (;;) {
    const length = (await readExactly(socket, 4)).readUInt32BE(0);
    if (length < 8 || length > LONGEST_ANSWER) {
      throw new HoldfastError("protocol", "OpenSSH's client gives an answer of a strange length");
    }
    yield await readExactly(socket, length);
  }
}

async function next(answers: AsyncGenerator<Buffer, void>): Promise<Buffer> {
  return (await answers.next()).value!;
}

function readExactly(socket: Socket, size: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = () => {
      for (const name of ["readable", "end", "error", "close"]) socket.off(name, listeners[name]);
    };
    const read = () => {
      const bytes: Buffer | null = socket.read(size);
      if (bytes === null) return;
      done();
      resolve(bytes);
    };
    const fail = (error?: Error) => {
      done();
      reject(error ?? new HoldfastError("disconnected", "OpenSSH's client ended"));
    };
    const end = () => fail();
    const listeners: Record<string, (error: Error) => void> = {
      readable: read,
      end,
      error: fail,
      close: end,
    };
    for (const [name, listener] of Object.entries(listeners)) socket.on(name, listener);
    read();
  });
}
