import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { createIdentity } from "../support/identity.ts";
import { answering, closing, failure, never, run, sshTest, startWorld } from "./ssh_fixture.ts";

async function otherKey(type: "ed25519" | "rsa" = "ed25519"): Promise<string> {
  const { publicKey } = await createIdentity({ type });
  return publicKey.split(" ").slice(0, 2).join(" ");
}

sshTest("host key: strict refuses an unknown host and tells the fingerprint", async () => {
  await using world = await startWorld({ trust: false });
  const error = await failure(world.connect({ strictHostKeyChecking: "yes" }));
  assertEquals(error.kind, "host_key");
  assertMatch(error.message, /SHA256:[\w+/]{43} is not known/);
  assertEquals(await Deno.readTextFile(world.knownHosts), "");
});

sshTest("host key: accept-new and no remember the key, strict then accepts it", async () => {
  for (const mode of ["accept-new", "no"] as const) {
    await using world = await startWorld({ trust: false });
    await closing(await world.connect({ strictHostKeyChecking: mode, hashKnownHosts: false }));
    const text = await Deno.readTextFile(world.knownHosts);
    assertEquals(text, world.sshd.hostKeyLines().join("\n") + "\n");
    await closing(await world.connect({ strictHostKeyChecking: "yes" }));
  }
});

sshTest("host key: ask takes yes, the fingerprint, nothing else", async () => {
  await using world = await startWorld({ trust: false });
  const no = answering("maybe", "no");
  const refused = await failure(world.connect({ strictHostKeyChecking: "ask" }, { ask: no.ask }));
  assertEquals(refused.kind, "host_key");
  assertEquals(no.questions.map(({ kind, echo }) => [kind, echo]), [
    ["host_key", true],
    ["host_key", true],
  ]);
  const print = /SHA256:\S{43}/.exec(no.questions[0].prompt)![0];
  assertStringIncludes(no.questions[0].prompt, `'[127.0.0.1]:${world.sshd.port}'`);
  const unanswered = await failure(world.connect({ strictHostKeyChecking: "ask" }, { ask: never }));
  assertEquals(unanswered.kind, "host_key");
  const yes = answering(print);
  await closing(await world.connect({ strictHostKeyChecking: "ask" }, { ask: yes.ask }));
  const again = answering();
  await closing(await world.connect({ strictHostKeyChecking: "ask" }, { ask: again.ask }));
  assertEquals(again.questions, []);
});

sshTest("host key: batch mode does not ask", async () => {
  await using world = await startWorld({ trust: false });
  const yes = answering("yes");
  const error = await failure(world.connect({ batchMode: true }, { ask: yes.ask }));
  assertEquals([error.kind, yes.questions.length], ["host_key", 0]);
});

sshTest("host key: a changed key names file, line and ssh-keygen -R", async () => {
  await using world = await startWorld({ trust: false });
  const name = `[127.0.0.1]:${world.sshd.port}`;
  await Deno.writeTextFile(world.knownHosts, `# old\n${name} ${await otherKey()}\n`);
  for (const mode of ["yes", "ask", "accept-new"] as const) {
    const yes = answering("yes");
    const error = await failure(world.connect({ strictHostKeyChecking: mode }, { ask: yes.ask }));
    assertEquals([error.kind, yes.questions.length], ["host_key", 0]);
    assertStringIncludes(error.message, `${world.knownHosts}:2`);
    assertStringIncludes(error.message, `ssh-keygen -f ${world.knownHosts} -R '${name}'`);
  }
});

sshTest("host key: no goes on after a change, but never with a password", async () => {
  await using world = await startWorld({
    trust: false,
    sshd: { passwordAuthentication: true },
    account: { password: "s3cret-word" },
  });
  const line = `[127.0.0.1]:${world.sshd.port} ${await otherKey()}\n`;
  await Deno.writeTextFile(world.knownHosts, line);
  const byKey = await world.connect({ strictHostKeyChecking: "no" });
  assertEquals((await run(byKey, "echo in")).stdout, "in\n");
  await closing(byKey);
  const error = await failure(
    world.connect({ strictHostKeyChecking: "no", identityFiles: [], password: "s3cret-word" }),
  );
  assertEquals(error.kind, "auth");
  assertStringIncludes(error.message, "host key changed");
  assert(!(await world.sshd.log()).includes("Failed password"));
  assertEquals(await Deno.readTextFile(world.knownHosts), line);
});

sshTest("host key: a revoked key is refused in every mode", async () => {
  await using world = await startWorld();
  const text = await Deno.readTextFile(world.knownHosts);
  await Deno.writeTextFile(world.knownHosts, text + `@revoked * ${world.sshd.hostKeys[0]}\n`);
  for (const mode of ["yes", "accept-new", "no"] as const) {
    const error = await failure(world.connect({ strictHostKeyChecking: mode }));
    assertEquals(error.kind, "host_key");
    assertStringIncludes(error.message, `${world.knownHosts}:2`);
  }
});

sshTest("host key: of several types the known one is negotiated", async () => {
  await using world = await startWorld({
    trust: false,
    sshd: { hostKeyTypes: ["ed25519", "ecdsa", "rsa"] },
  });
  const name = `[127.0.0.1]:${world.sshd.port}`;
  for (const key of world.sshd.hostKeys) {
    await Deno.writeTextFile(world.knownHosts, `${name} ${key}\n`);
    await closing(await world.connect({ strictHostKeyChecking: "yes" }));
  }
});

sshTest("host key: an alias is looked up without a port", async () => {
  await using world = await startWorld({ trust: false });
  await Deno.writeTextFile(world.knownHosts, `farm ${world.sshd.hostKeys[0]}\n`);
  await closing(await world.connect({ strictHostKeyChecking: "yes", hostKeyAlias: "farm" }));
  const error = await failure(world.connect({ strictHostKeyChecking: "yes", hostKeyAlias: "x" }));
  assertEquals(error.kind, "host_key");
});
