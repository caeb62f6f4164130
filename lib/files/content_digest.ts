/** The digest that verifies a file's content end to end, block by block. Web Crypto: no module to load. */

export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource));
}

/** SHA-256 of the only block; with more blocks d(i) = SHA-256(d(i-1) || SHA-256(block i)). */
export class ContentDigest {
  #value: Promise<Uint8Array> | null = null;

  /** Resolves when `block` is hashed and may be reused. */
  async update(block: Uint8Array): Promise<void> {
    const hash = sha256(block);
    this.#value = this.#value ? chain(this.#value, hash) : hash;
    await hash;
  }

  value(): Promise<Uint8Array> {
    return this.#value ?? sha256(new Uint8Array(0));
  }

  async matches(digest: Uint8Array): Promise<boolean> {
    const value = await this.value();
    return digest.length === value.length && value.every((byte, at) => byte === digest[at]);
  }
}

async function chain(
  before: Promise<Uint8Array>,
  hash: Promise<Uint8Array>,
): Promise<Uint8Array> {
  const both = new Uint8Array(64);
  both.set(await before);
  both.set(await hash, 32);
  return sha256(both);
}
