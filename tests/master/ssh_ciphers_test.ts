/** Every cipher against a real sshd: what passes, what is noticed, and what runs where libcrypto is not to be had. */

import { isAesGcmFast } from "../../lib/master/aes_gcm.ts";
import { fastFirst } from "../../lib/master/ssh_algorithms.ts";
import { SUPPORTED } from "../../lib/rendezvous/supported_algorithms.ts";
import type { SshConnection } from "../../lib/master/ssh_connection.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { test } from "../support/test.ts";
import { closing, failure, run, sshTest, startWorld, type World } from "./ssh_fixture.ts";

const GCM = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"];
const MiB = 2 ** 20;
const verbose = { config: ["LogLevel DEBUG1"] };

async function connectWith(
  world: World,
  cipher: string,
  more: { port?: number; via?: SshConnection } = {},
): Promise<SshConnection> {
  const options = [`Ciphers=${cipher}`, "StrictHostKeyChecking=accept-new"];
  const settings = await world.settings({ options });
  return await world.connect({ ...settings, port: more.port ?? settings.port }, { via: more.via });
}

/** `size` random bytes in pieces of all sizes through `cat`: the same must come back. */
async function echo(connection: SshConnection, size: number): Promise<void> {
  const sent = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) {
    crypto.getRandomValues(sent.subarray(at, Math.min(size, at + 65536)));
  }
  const cat = await connection.exec("cat");
  const writing = (async () => {
    for (let at = 0, step = 1; at < size; at += step, step = step * 3 % 100_003) {
      await cat.stdin.write(sent.slice(at, at + step));
    }
    await cat.stdin.close();
  })();
  const back = new Uint8Array(size);
  let length = 0;
  for (let chunk; (chunk = await cat.stdout.read()) !== null; length += chunk.length) {
    back.set(chunk, length);
  }
  await writing;
  assertEquals(length, size);
  assertEquals(back.findIndex((byte, at) => byte !== sent[at]), -1);
}

/** Passes bytes between clients and the server on `port`, and changes one bit of byte `at` in one direction. */
function tamper(port: number, { direction, at }: { direction: "up" | "down"; at: number }) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const pass = async (from: Deno.Conn, to: Deno.Conn, changed: number) => {
    const buffer = new Uint8Array(65536);
    let passed = 0;
    for (let count; (count = await from.read(buffer)) !== null; passed += count) {
      if (changed >= passed && changed < passed + count) buffer[changed - passed] ^= 4;
      for (let done = 0; done < count;) done += await to.write(buffer.subarray(done, count));
    }
    await to.closeWrite();
  };
  const serving = (async () => {
    const client = await listener.accept();
    const server = await Deno.connect({ hostname: "127.0.0.1", port });
    await Promise.allSettled([
      pass(client, server, direction === "up" ? at : -1).finally(() => server.close()),
      pass(server, client, direction === "down" ? at : -1).finally(() => client.close()),
    ]);
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving.catch(() => {});
    },
  };
}

for (const cipher of SUPPORTED.cipher) {
  sshTest(`ssh ciphers: ${cipher} carries bytes unchanged, also through itself`, async () => {
    await using world = await startWorld({ sshd: verbose });
    const first = await connectWith(world, cipher);
    const inner = await connectWith(world, cipher, { via: first });
    const second = await connectWith(world, cipher);
    await Promise.all([echo(first, MiB), echo(second, 2 * MiB), echo(inner, MiB)]);
    for (const connection of [inner, first, second]) await closing(connection);
    assertStringIncludes(await world.sshd.log(), `client->server cipher: ${cipher}`);
  });
}

for (const cipher of [...GCM, "chacha20-poly1305@openssh.com"]) {
  sshTest(`ssh ciphers: ${cipher} outlives changes of keys in mid-transfer`, async () => {
    const sshd = { config: [...verbose.config, "RekeyLimit 1M"] };
    await using world = await startWorld({ sshd });
    const connection = await connectWith(world, cipher);
    await echo(connection, 6 * MiB);
    assertEquals((await run(connection, "echo x")).stdout, "x\n");
    await closing(connection);
    const changes = (await world.sshd.log()).split("SSH2_MSG_NEWKEYS sent").length - 1;
    assert(changes > 3, `keys changed ${changes} times`);
  });
}

for (const cipher of GCM) {
  sshTest(`ssh ciphers: ${cipher} ends the connection at a changed bit from the host`, async () => {
    await using world = await startWorld();
    await using proxy = tamper(world.sshd.port, { direction: "down", at: MiB });
    const connection = await connectWith(world, cipher, { port: proxy.port });
    const child = await connection.exec("head -c 8000000 /dev/zero");
    let length = 0;
    for (let chunk; (chunk = await child.stdout.read()) !== null; length += chunk.length) {
      assert(chunk.every((byte) => byte === 0), "a changed byte was delivered");
    }
    assert(length < MiB, `${length} bytes came`);
    const reason = await connection.closed;
    assertEquals(reason?.kind, "disconnected");
    assertMatch(reason?.message ?? "", /: (Invalid MAC|Bad packet length)$/);
  });

  sshTest(`ssh ciphers: ${cipher} ends the connection at a changed bit to the host`, async () => {
    await using world = await startWorld();
    await using proxy = tamper(world.sshd.port, { direction: "up", at: MiB });
    const connection = await connectWith(world, cipher, { port: proxy.port });
    const child = await connection.exec("cat >/dev/null");
    const block = new Uint8Array(65536);
    const writing = (async () => {
      for (let count = 0; count < 100; count++) await child.stdin.write(block);
    })();
    assertEquals((await failure(writing)).kind, "io");
    assertEquals((await connection.closed)?.kind, "disconnected");
  });
}

sshTest("ssh ciphers: the usual offer ends in AES-GCM where it is fast", async () => {
  await using world = await startWorld({ sshd: verbose });
  await closing(await world.connect());
  const expected = isAesGcmFast() ? "aes128-gcm@openssh.com" : "chacha20-poly1305@openssh.com";
  assertStringIncludes(await world.sshd.log(), `client->server cipher: ${expected}`);
});

test("ssh ciphers: GCM comes first only where it is fast and nobody chose an order", () => {
  const usual: string[] = [...SUPPORTED.cipher];
  const others = usual.filter((name) => !GCM.includes(name));
  const isFast = { isAesGcmFast: () => true };
  assertEquals(fastFirst(usual, isFast), [...GCM, ...others]);
  const older = [...others, ...GCM]; // OpenSSH before 10
  assertEquals(fastFirst(older, isFast), [...GCM, ...others]);
  assertEquals(fastFirst(usual, { isAesGcmFast: () => false }), usual);
  for (const chosen of [[usual[0]], usual.toReversed(), usual.slice(0, -1)]) {
    assertEquals(fastFirst(chosen, isFast), chosen);
  }
});

sshTest("ssh ciphers: without libcrypto the same ciphers work", async () => {
  await using world = await startWorld({ sshd: verbose });
  const { port, user, request } = await world.settings({ options: [`Ciphers=${GCM.join()}`] });
  const lib = new URL("../../lib/master/", import.meta.url);
  const script = world.dir.join("without.ts");
  await Deno.writeTextFile(
    script,
    `import { hasAesGcm } from "${lib}aes_gcm.ts";
    import { resolveSsh } from "${lib}ssh_config.ts";
    import { connectSsh } from "${lib}ssh_connection.ts";
    const [options, request] = JSON.parse(Deno.args[0]);
    const settings = await resolveSsh("127.0.0.1", options, request);
    const connection = await connectSsh(settings, { ask: () => Promise.resolve(null) });
    const child = await connection.exec("head -c 3000000 /dev/zero");
    let length = 0;
    for (let chunk; (chunk = await child.stdout.read()) !== null;) length += chunk.length;
    connection.close();
    await connection.closed;
    console.log(hasAesGcm(), length);`,
  );
  // Everything but --allow-ffi.
  const allowed = ["read", "write", "net", "env", "run", "sys"].map((name) => `--allow-${name}`);
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const options = { ...request.options, port, user };
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      `--config=${config}`,
      ...allowed,
      script,
      JSON.stringify([options, { env: request.env, cwd: request.cwd }]),
    ],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  assertEquals(new TextDecoder().decode(stdout), "false 3000000\n");
  assertStringIncludes(await world.sshd.log(), `client->server cipher: ${GCM[0]}`);
});
