import { createCipheriv, createDecipheriv } from "node:crypto";
import { AesGcm, CLEAR, hasAesGcm, TAG } from "../../lib/master/aes_gcm.ts";
import { assert, assertEquals, assertThrows } from "../support/assert.ts";
import { test } from "../support/test.ts";

/** `test` where this machine has the library. */
function native(name: string, body: () => void): void {
  if (hasAesGcm()) return test(name, body);
  Deno.test({ name: `${name} (skipped: needs libcrypto)`, ignore: true, fn: body });
}

const random = (size: number) => crypto.getRandomValues(new Uint8Array(size));

/** The IV of the packet after `count` others: its last eight bytes count. */
function ivAfter(iv: Uint8Array, count: number): Uint8Array {
  const later = iv.slice();
  const view = new DataView(later.buffer);
  view.setBigUint64(4, view.getBigUint64(4) + BigInt(count));
  return later;
}

function sealedByNode(packet: Uint8Array, key: Uint8Array, iv: Uint8Array): Uint8Array {
  const cipher = createCipheriv(key.length === 16 ? "aes-128-gcm" : "aes-256-gcm", key, iv);
  cipher.setAAD(packet.subarray(0, CLEAR));
  const body = cipher.update(packet.subarray(CLEAR, -TAG));
  cipher.final();
  return new Uint8Array([...packet.subarray(0, CLEAR), ...body, ...cipher.getAuthTag()]);
}

for (const bits of [128, 256]) {
  native(`aes gcm: packets of AES-${bits} are those of another implementation`, () => {
    const key = random(bits / 8);
    const iv = random(12);
    iv.fill(255, 5); // the counter carries within the first packets
    using seals = new AesGcm("seal", { key, iv });
    using opens = new AesGcm("open", { key, iv });
    for (let count = 0; count < 300; count++) {
      const packet = random(CLEAR + 16 * (1 + count * 7) + TAG);
      const clear = packet.slice(0, -TAG);
      const expected = sealedByNode(packet, key, ivAfter(iv, count));
      assert(seals.process(packet));
      assertEquals(packet, expected);
      assert(opens.process(packet));
      assertEquals(packet.slice(0, -TAG), clear);
    }
  });
}

native("aes gcm: any changed bit is noticed, and nothing is opened afterwards", () => {
  const key = random(16);
  const iv = random(12);
  const size = CLEAR + 32 + TAG;
  for (let bit = 0; bit < size * 8; bit++) {
    const packet = random(size);
    using seals = new AesGcm("seal", { key, iv });
    using opens = new AesGcm("open", { key, iv });
    seals.process(packet);
    packet[bit >> 3] ^= 1 << (bit & 7);
    assertEquals(opens.process(packet), false, `bit ${bit}`);
    assertThrows(() => opens.process(packet), Error, "already freed");
  }
});

native("aes gcm: packets out of turn, other keys and impossible sizes are refused", () => {
  const key = random(32);
  const iv = random(12);
  using seals = new AesGcm("seal", { key, iv });
  using opens = new AesGcm("open", { key, iv });
  const first = random(CLEAR + 16 + TAG);
  const second = first.slice();
  seals.process(first);
  seals.process(second);
  assertEquals(opens.process(second), false);
  using other = new AesGcm("open", { key: random(32), iv });
  assertEquals(other.process(first), false);
  assertThrows(() => seals.process(new Uint8Array(CLEAR + TAG - 1)), RangeError, "no packet");
  assertThrows(() => new AesGcm("seal", { key: random(24), iv }), RangeError, "key of 24");
  seals.free();
  seals.free();
  assertThrows(() => seals.process(first), Error, "already freed");
});

native("aes gcm: the same as by node's own cipher, the other way round", () => {
  const key = random(16);
  const iv = random(12);
  const packet = random(CLEAR + 4096 + TAG);
  const clear = packet.slice(CLEAR, -TAG);
  using seals = new AesGcm("seal", { key, iv });
  seals.process(packet);
  const decipher = createDecipheriv("aes-128-gcm", key, iv);
  decipher.setAAD(packet.subarray(0, CLEAR));
  decipher.setAuthTag(packet.subarray(-TAG));
  assertEquals(new Uint8Array(decipher.update(packet.subarray(CLEAR, -TAG))), clear);
  decipher.final();
});
