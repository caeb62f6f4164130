import { createAccount } from "./accounts.ts";
import { assertEquals, assertRejects } from "./assert.ts";
import { testIdentity } from "./identity.ts";
import { has } from "./needs.ts";
import { startSshd, type TestSshd } from "./sshd.ts";
import { test } from "./test.ts";
import type { Runtime } from "./tools.ts";

const rooted = test.needs("sshd", "ssh", "namespaces");

function ssh(sshd: TestSshd, user: string, identity: string, command: string): Deno.Command {
  const options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"]
    .flatMap((option) => ["-o", option]);
  const where = ["-F", "none", "-i", identity, "-p", `${sshd.port}`, `${user}@127.0.0.1`];
  return new Deno.Command("ssh", {
    args: [...options, ...where, command],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  });
}

/** Prints every runtime that the first stage could find, by either shell and by its usual places. */
const SEARCH = `for name in deno node bun; do
  { command -v $name; dash -c "command -v $name"; for dir in ~/.deno/bin ~/.bun/bin \
    ~/.nvm/versions/node/*/bin /usr/local/bin /usr/bin /bin; do ls $dir/$name; done; } 2>/dev/null |
    while read path; do "$path" --version >/dev/null && echo $name; done
done | sort -u | xargs`;

const targets: { runtimes: Runtime[]; place?: "home" | "path" }[] = [
  { runtimes: [] },
  { runtimes: ["deno"] },
  { runtimes: ["node"] },
  { runtimes: ["bun"] },
  { runtimes: ["bun", "deno"], place: "path" },
];

for (const { runtimes, place } of targets) {
  const named = runtimes.join(" and ") || "no runtime";
  const register = has("bun") || !runtimes.includes("bun") ? rooted : test.needs("bun");
  register(
    `accounts: a session finds ${named} in ${place ?? "home"} and nothing else`,
    async () => {
      await using sshd = await startSshd();
      await using account = await createAccount({ runtimes, place });
      const { path } = await testIdentity();
      const { stdout } = await ssh(sshd, account.name, path, SEARCH).output();
      assertEquals(new TextDecoder().decode(stdout).trim(), runtimes.join(" "));
      assertEquals([await sshd.logins(), await sshd.sessions()], [1, 1]);
    },
  );
}

rooted("accounts: disposal kills and reports what sshd's sessions left", async () => {
  await using account = await createAccount();
  const sshd = await startSshd();
  const { path } = await testIdentity();
  const command = "(setsid sleep 1000 >/dev/null 2>&1 &); echo up; exec sleep 1001";
  await using client = ssh(sshd, account.name, path, command).spawn();
  const lines = client.stdout.pipeThrough(new TextDecoderStream()).getReader();
  assertEquals((await lines.read()).value, "up\n");
  await sshd[Symbol.asyncDispose]();
  assertEquals((await client.status).code, 255);
  await lines.cancel();
  const disposal = () => account[Symbol.asyncDispose]();
  await assertRejects(disposal, Error, "sleep 1000");
  await assertRejects(() => Deno.stat(account.home), Deno.errors.NotFound);
});

test.needs("sshd")("sshd: a wait for its log gives up when aborted", async () => {
  await using sshd = await startSshd();
  const aborted = AbortSignal.abort(new Error("enough"));
  await assertRejects(() => sshd.waitForLog(/never/, { signal: aborted }), Error, "enough");
  const later = new AbortController();
  const wait = assertRejects(
    () => sshd.waitForLog(/never/, { signal: later.signal }),
    Error,
    "enough",
  );
  later.abort(new Error("enough"));
  await wait;
});
