import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { createIdentity, testIdentity } from "../support/identity.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { answering, closing, failure, run, sshTest, startWorld } from "./ssh_fixture.ts";

const PASSWORD = "corr3ct-horse";
const withPassword = {
  sshd: { passwordAuthentication: true },
  account: { password: PASSWORD },
};

/** An agent holding `keys`; disposal ends it. */
async function startAgent(dir: TempDir, keys: string[]) {
  const socket = dir.join("agent");
  const agent = new Deno.Command("ssh-agent", {
    args: ["-D", "-a", socket],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const output = agent.stdout.getReader();
  await output.read(); // printed once it listens
  await output.cancel();
  const env = { SSH_AUTH_SOCK: socket };
  const add = await new Deno.Command("ssh-add", { args: keys, env, stderr: "null" }).output();
  assert(add.success);
  return {
    socket,
    [Symbol.asyncDispose]: async () => {
      agent.kill("SIGTERM");
      await agent.status;
    },
  };
}

sshTest("authentication: an encrypted key asks for its passphrase, up to three times", async () => {
  const key = await createIdentity({ passphrase: "open sesame" });
  await using world = await startWorld({ account: { authorizedKeys: [key.publicKey] } });
  const good = answering("wrong", "open sesame");
  const connection = await world.connect({ identityFiles: [key.path] }, { ask: good.ask });
  assertEquals((await run(connection, "id -un")).stdout, `${world.account.name}\n`);
  await closing(connection);
  assertEquals(good.questions.map(({ kind, echo }) => [kind, echo]), [
    ["passphrase", false],
    ["passphrase", false],
  ]);
  assertStringIncludes(good.questions[0].prompt, key.path);
  const bad = answering("a", "b", "c", "d");
  const error = await failure(world.connect({ identityFiles: [key.path] }, { ask: bad.ask }));
  assertEquals([error.kind, bad.questions.length], ["auth", 3]);
  const given = answering();
  const changes = { identityFiles: [key.path], passphrase: "open sesame" };
  await closing(await world.connect(changes, { ask: given.ask }));
  assertEquals(given.questions, []);
});

sshTest(
  "authentication: no passphrase is asked for a key that the host does not want",
  async () => {
    const key = await createIdentity({ passphrase: "open sesame" });
    await using world = await startWorld();
    const nobody = answering("open sesame");
    const identityFiles = [key.path, (await testIdentity()).path];
    await closing(await world.connect({ identityFiles }, { ask: nobody.ask }));
    assertEquals(nobody.questions, []);
  },
);

sshTest("authentication: every type of key file works", async () => {
  for (const type of ["ed25519", "ecdsa", "rsa"] as const) {
    const key = await createIdentity({ type });
    await using world = await startWorld({ account: { authorizedKeys: [key.publicKey] } });
    await closing(await world.connect({ identityFiles: [key.path] }));
  }
});

sshTest("authentication: the asking client's agent, IdentitiesOnly and a dead agent", async () => {
  await using dir = await tempDir();
  const key = await createIdentity();
  await using agent = await startAgent(dir, [key.path]);
  await using world = await startWorld({ account: { authorizedKeys: [key.publicKey] } });
  const agentSocket = agent.socket;
  await closing(await world.connect({ identityFiles: [] }, { agentSocket }));
  const only = { identityFiles: [], identitiesOnly: true };
  assertEquals((await failure(world.connect(only, { agentSocket }))).kind, "auth");
  const named = { identityFiles: [`${key.path}.pub`], identitiesOnly: true };
  await closing(await world.connect(named, { agentSocket }));
  const none = { identityFiles: [], identityAgent: "none" };
  assertEquals((await failure(world.connect(none, { agentSocket }))).kind, "auth");
  await closing(
    await world.connect({ identityFiles: [key.path] }, { agentSocket: dir.join("gone") }),
  );
});

sshTest("authentication: a password is asked for, and again when it is wrong", async () => {
  await using world = await startWorld(withPassword);
  const good = answering("wrong", PASSWORD);
  await closing(await world.connect({ identityFiles: [] }, { ask: good.ask }));
  assertEquals(good.questions.map(({ kind, echo }) => [kind, echo]), [
    ["password", false],
    ["password", false],
  ]);
  assertStringIncludes(good.questions[0].prompt, `${world.account.name}@127.0.0.1's password: `);
  const bad = answering("w1", "w2", "w3", "w4");
  const changes = { identityFiles: [], numberOfPasswordPrompts: 2 };
  const error = await failure(world.connect(changes, { ask: bad.ask }));
  assertEquals([error.kind, bad.questions.length], ["auth", 2]);
  assertStringIncludes(error.message, "password");
});

sshTest("authentication: a given password is used without asking and never shown", async () => {
  await using world = await startWorld(withPassword);
  const nobody = answering();
  const changes = { identityFiles: [], batchMode: true };
  await closing(await world.connect({ ...changes, password: PASSWORD }, { ask: nobody.ask }));
  const logged: string[] = [];
  const log = (_level: string, text: string) => logged.push(text);
  const error = await failure(world.connect({ ...changes, password: "wr0ng-word" }, { log }));
  assertEquals([error.kind, nobody.questions.length], ["auth", 0]);
  assert(!(error.message + logged.join()).includes("wr0ng-word"));
});

sshTest("authentication: batch mode never asks", async () => {
  await using world = await startWorld(withPassword);
  const yes = answering(PASSWORD);
  const error = await failure(
    world.connect({ identityFiles: [], batchMode: true }, { ask: yes.ask }),
  );
  assertEquals([error.kind, yes.questions.length], ["auth", 0]);
});

sshTest("authentication: keyboard-interactive prompts are asked with the host's name", async () => {
  await using world = await startWorld({
    sshd: { pam: true, passwordAuthentication: false },
    account: { password: PASSWORD },
  });
  const good = answering(PASSWORD);
  await closing(await world.connect({ identityFiles: [] }, { ask: good.ask }));
  assertEquals(good.questions.map(({ kind, echo }) => [kind, echo]), [
    ["keyboard_interactive", false],
  ]);
  assertStringIncludes(good.questions[0].prompt, `(${world.account.name}@127.0.0.1) Password`);
  await closing(await world.connect({ identityFiles: [], password: PASSWORD }));
});

sshTest("authentication: two methods in a row when the host wants both", async () => {
  await using world = await startWorld({
    ...withPassword,
    sshd: { passwordAuthentication: true, config: ["AuthenticationMethods publickey,password"] },
  });
  const good = answering(PASSWORD);
  await closing(await world.connect({}, { ask: good.ask }));
  assertEquals(good.questions.length, 1);
});

sshTest("authentication: PreferredAuthentications decides the order", async () => {
  await using world = await startWorld(withPassword);
  const good = answering(PASSWORD);
  const preferredAuthentications = ["password", "publickey"];
  await closing(await world.connect({ preferredAuthentications }, { ask: good.ask }));
  assertEquals(good.questions.length, 1);
});

sshTest("authentication: the error lists what was tried, offered and missing", async () => {
  await using world = await startWorld();
  const stranger = await createIdentity();
  const missing = world.dir.join("id_missing");
  const settings = await world.settings({ identityFiles: [missing, stranger.path] });
  const error = await failure(world.connect(settings));
  assertEquals(error.kind, "auth");
  assertStringIncludes(error.message, `publickey (${stranger.path})`);
  assertStringIncludes(error.message, "it offers publickey");
  assertStringIncludes(error.message, `${missing} does not exist`);
  await Deno.chmod(stranger.path, 0o644);
  const open = await failure(world.connect({ identityFiles: [stranger.path] }));
  assertStringIncludes(open.message, "readable by others");
});
