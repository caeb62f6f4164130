/** Who answers at the end of a forward, and what it is asked. For the tests of the drop-in. */

/** Answers each connection, once it has been read to its end, with what it got and how much that was. */
export class EchoServer implements AsyncDisposable {
  readonly listener: Deno.TcpListener | Deno.UnixListener;
  readonly #serving: Promise<void>;

  constructor(listener: Deno.TcpListener | Deno.UnixListener) {
    this.listener = listener;
    this.#serving = this.#serve();
  }

  get port(): number {
    return (this.listener.addr as Deno.NetAddr).port;
  }

  async #serve(): Promise<void> {
    const answering: Promise<void>[] = [];
    for await (const conn of this.listener) answering.push(this.#answer(conn));
    await Promise.all(answering);
  }

  async #answer(conn: Deno.Conn): Promise<void> {
    using _conn = conn;
    try {
      const bytes = await readAll(conn);
      await writeAll(conn, bytes);
      await writeAll(conn, new TextEncoder().encode(`<${bytes.length}>`));
    } catch {
      // Who asked has gone.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.listener.close();
    await this.#serving;
  }
}

export const BYTES = new Uint8Array(2_000_000).map((_, i) => (i * 2_654_435_761) >>> 24);

export function isAnswer(bytes: Uint8Array): boolean {
  const tail = new TextDecoder().decode(bytes.subarray(BYTES.length));
  return tail === `<${BYTES.length}>` && BYTES.every((byte, i) => bytes[i] === byte);
}

export async function exchange(conn: Deno.TcpConn | Deno.UnixConn): Promise<boolean> {
  using _conn = conn;
  const answer = readAll(conn);
  await writeAll(conn, BYTES);
  await conn.closeWrite();
  return isAnswer(await answer);
}

export async function readAll(conn: Deno.Conn): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const buffer = new Uint8Array(65536);
  for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
    chunks.push(buffer.slice(0, count));
  }
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}

export async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
