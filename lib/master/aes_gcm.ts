/**
 * AES-GCM of the system's libcrypto, a hundred times as fast as what the runtime offers for many small
 * messages; absent where there is no such library. Used by `ssh2_crypto.ts` for the packets of SSH.
 */

/** Bytes of an authentication tag, and of the part of a packet that is only authenticated. */
export const TAG = 16;
export const CLEAR = 4;

/** Sonames whose functions and constants below are the same. Elsewhere than on Linux the library is no public one. */
const LIBRARIES = ["libcrypto.so.3", "libcrypto.so.1.1"];

const FUNCTIONS = {
  EVP_aes_128_gcm: { parameters: [], result: "pointer" },
  EVP_aes_256_gcm: { parameters: [], result: "pointer" },
  EVP_CIPHER_CTX_new: { parameters: [], result: "pointer" },
  EVP_CIPHER_CTX_free: { parameters: ["pointer"], result: "void" },
  EVP_CIPHER_CTX_ctrl: { parameters: ["pointer", "i32", "i32", "buffer"], result: "i32" },
  EVP_CipherInit_ex: {
    parameters: ["pointer", "pointer", "pointer", "buffer", "buffer", "i32"],
    result: "i32",
  },
  EVP_CipherUpdate: {
    parameters: ["pointer", "buffer", "buffer", "buffer", "i32"],
    result: "i32",
  },
  EVP_CipherFinal_ex: { parameters: ["pointer", "buffer", "buffer"], result: "i32" },
} as const;

type Libcrypto = Deno.DynamicLibrary<typeof FUNCTIONS>["symbols"];

/** `EVP_CTRL_AEAD_GET_TAG` and `EVP_CTRL_AEAD_SET_TAG`. */
const GET_TAG = 0x10;
const SET_TAG = 0x11;

/** Null when it is known to be missing or wrong. */
let library: Libcrypto | null | undefined;

let fast: boolean | undefined;

/** Whether {@linkcode AesGcm} can be used. The first call loads the library, which takes some milliseconds. */
export function hasAesGcm(): boolean {
  if (library === undefined) {
    library = Deno.build.os === "linux" ? load() : null;
    if (library !== null && !passesTest()) library = null;
  }
  return library !== null;
}

/** Whether it is also the fastest cipher: without AES in the processor, ChaCha20 is. */
export function isAesGcmFast(): boolean {
  return fast ??= hasAesGcm() && processorHasAes();
}

/** What Linux says of the first processor; x86 calls it a flag, ARM a feature. */
function processorHasAes(): boolean {
  try {
    using file = Deno.openSync("/proc/cpuinfo");
    const start = new Uint8Array(8192);
    const count = file.readSync(start) ?? 0;
    return /^(flags|Features)\s*:.* aes\b/m.test(
      new TextDecoder().decode(start.subarray(0, count)),
    );
  } catch {
    return false;
  }
}

function load(): Libcrypto | null {
  for (const name of LIBRARIES) {
    try {
      return Deno.dlopen(name, FUNCTIONS).symbols;
    } catch { /* not there, or without one of the functions */ }
  }
  return null;
}

/** A known answer, there and back, and a changed byte that must be noticed. */
function passesTest(): boolean {
  const known = "000000000388dace60b6a392f328c2b971b2fe78b526422fa13b1a934f689289f0dcb33d";
  const key = new Uint8Array(16);
  const iv = new Uint8Array(12);
  const seals = new AesGcm("seal", { key, iv });
  const opens = new AesGcm("open", { key, iv });
  const opensToo = new AesGcm("open", { key, iv });
  try {
    const packet = new Uint8Array(CLEAR + 16 + TAG);
    seals.process(packet);
    const hex = Array.from(packet, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const changed = packet.slice();
    changed[1] ^= 1;
    return hex === known && opens.process(packet) && !opensToo.process(changed) &&
      packet.subarray(0, -TAG).every((byte) => byte === 0);
  } catch {
    return false;
  } finally {
    for (const each of [seals, opens, opensToo]) each.free();
  }
}

/**
 * One direction of a connection, with SSH's way of counting its packets (RFC 5647, section 7.1).
 *
 * - In place: a packet is {@linkcode CLEAR} bytes, the rest, and room for the tag.
 * - After a wrong tag or another failure it is freed. Once freed, every call throws; freeing twice is harmless.
 */
export class AesGcm implements Disposable {
  readonly #direction: "seal" | "open";
  /** Ours: counted up with each packet. */
  readonly #iv: Uint8Array<ArrayBuffer>;
  /** Where the library tells how many bytes it wrote: always as many as it was given. */
  readonly #count = new Uint8Array(4);
  readonly #lib: Libcrypto;
  #context: Deno.PointerValue;

  /** The key's length chooses between AES-128 and AES-256. */
  constructor(
    direction: "seal" | "open",
    { key, iv }: { key: Uint8Array; iv: Uint8Array },
  ) {
    if (!library) throw new Error("Cannot use AES-GCM: no libcrypto");
    const lib = this.#lib = library;
    this.#direction = direction;
    this.#iv = Uint8Array.from(iv);
    const kind = key.length === 16 ? lib.EVP_aes_128_gcm() : lib.EVP_aes_256_gcm();
    if (this.#iv.length !== 12 || (key.length !== 16 && key.length !== 32)) {
      throw new RangeError(`Cannot use AES-GCM: key of ${key.length}, IV of ${iv.length} bytes`);
    }
    this.#context = lib.EVP_CIPHER_CTX_new();
    const encrypts = direction === "seal" ? 1 : 0;
    const own = Uint8Array.from(key);
    if (lib.EVP_CipherInit_ex(this.#context, kind, null, own, this.#iv, encrypts) !== 1) {
      this.free();
      throw new Error("Cannot use AES-GCM: libcrypto refused the key");
    }
  }

  /** Encrypts and writes the tag, or decrypts; false when the tag is wrong, and then nothing in it may be used. */
  process(packet: Uint8Array<ArrayBuffer>): boolean {
    const context = this.#context;
    if (context === null) throw new Error("Cannot use AES-GCM: already freed");
    const size = packet.length - CLEAR - TAG;
    if (size < 0) throw new RangeError(`Cannot use AES-GCM: ${packet.length} bytes are no packet`);
    const lib = this.#lib;
    const count = this.#count;
    const body = packet.subarray(CLEAR);
    const tag = packet.subarray(CLEAR + size);
    const opens = this.#direction === "open";
    let sound = lib.EVP_CipherInit_ex(context, null, null, null, this.#iv, -1) === 1 &&
      lib.EVP_CipherUpdate(context, null, count, packet, CLEAR) === 1 &&
      lib.EVP_CipherUpdate(context, body, count, body, size) === 1;
    if (opens) {
      sound = sound && lib.EVP_CIPHER_CTX_ctrl(context, SET_TAG, TAG, tag) === 1;
      sound = sound && lib.EVP_CipherFinal_ex(context, tag, count) === 1;
    } else {
      sound = sound && lib.EVP_CipherFinal_ex(context, tag, count) === 1;
      sound = sound && lib.EVP_CIPHER_CTX_ctrl(context, GET_TAG, TAG, tag) === 1;
    }
    countUp(this.#iv);
    if (!sound) this.free();
    if (!sound && !opens) throw new Error("Cannot encrypt: libcrypto failed");
    return sound;
  }

  free(): void {
    const context = this.#context;
    this.#context = null;
    if (context !== null) this.#lib.EVP_CIPHER_CTX_free(context);
  }

  [Symbol.dispose](): void {
    this.free();
  }
}

/** The last eight bytes are the counter. */
function countUp(iv: Uint8Array): void {
  for (let at = 11; at >= 4; at--) {
    iv[at] = (iv[at] + 1) & 0xff;
    if (iv[at] !== 0) return;
  }
}
