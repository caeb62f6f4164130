/** The server's half of SOCKS 4, 4a and 5, as far as `-D` needs it: where a client wants to go. Pure but for its reads. */

/** What a client asked for. */
export interface SocksRequest {
  host: string;
  port: number;
  /** What it has sent beyond. */
  rest: Uint8Array;
  /** The answers, to be sent once it is known whether it is connected. */
  granted: Uint8Array;
  refused: Uint8Array;
}

/** Longest name and user that a client may send, in bytes. */
const LONGEST = 255;

export interface SocksClient {
  /** The next bytes, or null at the end. */
  read(): Promise<Uint8Array | null>;
  write(bytes: Uint8Array): Promise<void>;
}

/**
 * Reads the request for a connection.
 *
 * @throws {RangeError} for what is no such request
 */
export async function readSocksRequest(client: SocksClient): Promise<SocksRequest> {
  const input = new Input(client);
  const version = await input.byte();
  if (version === 4) return await readVersion4(input);
  if (version === 5) return await readVersion5(input, client);
  throw new RangeError("it speaks no SOCKS");
}

async function readVersion4(input: Input): Promise<SocksRequest> {
  if (await input.byte() !== 1) throw new RangeError("it wants no connection");
  const port = await input.port();
  const address = await input.take(4);
  await input.text();
  // 4a: an address 0.0.0.x stands for a name that follows.
  const named = address[0] === 0 && address[1] === 0 && address[2] === 0 && address[3] !== 0;
  const host = named ? await input.text() : address.join(".");
  const answer = (code: number) => Uint8Array.of(0, code, 0, 0, 0, 0, 0, 0);
  return { host, port, rest: input.rest(), granted: answer(90), refused: answer(91) };
}

async function readVersion5(input: Input, client: SocksClient): Promise<SocksRequest> {
  const methods = await input.take(await input.byte());
  if (!methods.includes(0)) throw new RangeError("it insists on a login");
  await client.write(Uint8Array.of(5, 0));
  const [version, command, , type] = await input.take(4);
  if (version !== 5 || command !== 1) throw new RangeError("it wants no connection");
  const host = await readAddress(input, type);
  const port = await input.port();
  const answer = (code: number) => Uint8Array.of(5, code, 0, 1, 0, 0, 0, 0, 0, 0);
  return { host, port, rest: input.rest(), granted: answer(0), refused: answer(5) };
}

async function readAddress(input: Input, type: number): Promise<string> {
  if (type === 1) return (await input.take(4)).join(".");
  if (type === 3) return new TextDecoder().decode(await input.take(await input.byte()));
  if (type !== 4) throw new RangeError("it has an address of an unknown kind");
  const bytes = await input.take(16);
  const groups = Array.from({ length: 8 }, (_, i) => bytes[2 * i] * 256 + bytes[2 * i + 1]);
  return groups.map((group) => group.toString(16)).join(":");
}

/** What came and was not yet looked at. */
class Input {
  readonly #client: SocksClient;
  #bytes: Uint8Array = new Uint8Array();

  constructor(client: SocksClient) {
    this.#client = client;
  }

  async take(size: number): Promise<Uint8Array> {
    while (this.#bytes.length < size) {
      const more = await this.#client.read();
      if (more === null) throw new RangeError("it ended inside its request");
      const all = new Uint8Array(this.#bytes.length + more.length);
      all.set(this.#bytes);
      all.set(more, this.#bytes.length);
      this.#bytes = all;
    }
    const taken = this.#bytes.slice(0, size);
    this.#bytes = this.#bytes.subarray(size);
    return taken;
  }

  async byte(): Promise<number> {
    return (await this.take(1))[0];
  }

  async port(): Promise<number> {
    const [high, low] = await this.take(2);
    return high * 256 + low;
  }

  /** Up to a NUL. */
  async text(): Promise<string> {
    const bytes: number[] = [];
    for (let byte = await this.byte(); byte !== 0; byte = await this.byte()) {
      if (bytes.push(byte) > LONGEST) throw new RangeError("a name in it is too long");
    }
    return new TextDecoder().decode(Uint8Array.from(bytes));
  }

  rest(): Uint8Array {
    return this.#bytes;
  }
}
