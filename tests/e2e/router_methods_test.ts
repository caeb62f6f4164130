/** Contexts of every kind as a program opens them: containers, other users with passwords, hosts behind hosts. */
import { type Context, HoldfastError } from "../../lib/mod.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { startContainer } from "../support/container.ts";
import { Workspace } from "../support/holdfast.ts";
import { processesCarrying } from "../support/processes.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";
import { REMOTE, type RemoteFunctions, routerIn } from "./calls_fixture.ts";

const FIRST = "firsT-s3cret-0";
const SECOND = "seconD-s3cret-1";
const WRONG = "wronG-s3cret-2";

const whoami = (context: Context) => context.module<RemoteFunctions>(REMOTE).whoami();

/** Whoever runs the tests is not asked on his terminal. */
function nobodyToAsk(): Disposable {
  Deno.env.set("HOLDFAST_PASSWORD_COMMAND", "false");
  return { [Symbol.dispose]: () => Deno.env.delete("HOLDFAST_PASSWORD_COMMAND") };
}

async function output(context: Context, command: string): Promise<string> {
  return new TextDecoder().decode((await context.exec(command)).stdout);
}

/** Fails when a password is in the arguments or the environment of any process, or in the daemon's log. */
async function checkSecrecy(workspace: Workspace, ...errors: string[]): Promise<void> {
  const log = await Deno.readTextFile(`${workspace.dir}/log`);
  for (const secret of [FIRST, SECOND, WRONG]) {
    assertEquals(processesCarrying(secret), []);
    for (const text of [log, ...errors]) assert(!text.includes(secret), text);
  }
}

const containers = test.needs("sshd", "namespaces", "sudo", "podman", "runc", "busybox");

containers("router.podman: from here, and behind a host as root", async () => {
  await using sshd = await startSshd();
  await using box = await startContainer({ runtimes: ["deno"], applets: ["rm"] });
  await using account = await createAccount({ runtimes: ["deno"], sudo: "nopasswd" });
  await Deno.chmod(account.home, 0o755);
  await using workspace = await Workspace.create();
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  await using router = await routerIn(workspace);
  const web = await router.ssh({ host: "web1", configFile: workspace.config });
  const root = await router.sudo({ via: web });
  const far = await router.podman({ container: box.name, via: root });
  const here = await router.podman({ container: box.name });
  assertEquals(far.target, `web1,sudo,podman=${box.name}`);
  assertEquals(here.target, `podman=${box.name}`);
  for (const context of [far, here]) {
    assertEquals(await output(context, "cat /etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
    const { uid, runtime } = await whoami(context);
    assertEquals([uid, runtime], [0, "deno"]);
    const back = workspace.join("back");
    await context.put(new URL("./called/stream.ts", import.meta.url).pathname, "/tmp/file");
    await context.fetch("/tmp/file", back);
    assertEquals(await box.run("cat", "/tmp/file"), await Deno.readTextFile(back));
    await context.exec(["rm", "/tmp/file"]);
    await Deno.remove(back);
  }
  const error = await assertRejects(
    () => router.podman({ container: "hf-none", via: root }),
    HoldfastError,
  );
  assertEquals([error.kind, error.message], [
    "not_found",
    "web1,sudo,podman=hf-none: there is no such container",
  ]);
});

test.needs("sshd", "namespaces")("router.docker: the tool gets exactly its words", async () => {
  await using sshd = await startSshd();
  await using account = await createAccount({ runtimes: ["deno"], place: "path" });
  const stub = `#!/bin/sh\nprintf '%s\\0' "$@" >"$HOME/words"\nshift 6\nexec sh -c "$1"\n`;
  await account.write("tools/docker", stub, { mode: 0o755 });
  await using workspace = await Workspace.create();
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  await using router = await routerIn(workspace);
  const web = await router.ssh({ host: "web1", configFile: workspace.config });
  const inside = await router.docker({ container: "shop web", via: web });
  assertEquals(inside.target, "web1,docker=shop web");
  const [own, outer] = [await whoami(inside), await whoami(web)];
  assertEquals([own.uid, own.runtime], [account.uid, "deno"]);
  assert(own.pid !== outer.pid);
  const words = (await Deno.readTextFile(`${account.home}/words`)).split("\0");
  assertEquals(words.slice(0, 6), ["exec", "-i", "--", "shop web", "sh", "-c"]);
  assertEquals(words.length, 8); // one script, and what follows the last separator
  for (const container of ["-v", "", "a,b", "a\nb"]) {
    const error = await assertRejects(
      () => router.docker({ container, via: web }),
      HoldfastError,
    );
    assertEquals(error.kind, "usage");
  }
});

const become = test.needs("sshd", "namespaces", "sudo", "su");

become("router.su, router.sudo: each with its own password, behind each other", async () => {
  await using sshd = await startSshd();
  await using ann = await createAccount({ runtimes: ["deno"], password: FIRST, sudo: "password" });
  await using bob = await createAccount({
    runtimes: ["deno"],
    password: SECOND,
    sudo: "password",
  });
  for (const { home } of [ann, bob]) await Deno.chmod(home, 0o755);
  await using workspace = await Workspace.create();
  await workspace.addHost("web1", { user: ann.name, port: sshd.port });
  await workspace.trust(sshd);
  await using router = await routerIn(workspace);
  const web = await router.ssh({ host: "web1", configFile: workspace.config });
  const asBob = await router.su({ via: web, user: bob.name, password: SECOND });
  assertEquals((await whoami(asBob)).uid, bob.uid);
  const root = await router.sudo({ via: asBob, password: SECOND });
  assertEquals((await whoami(root)).uid, 0);
  const other = await router.sudo({ via: web, user: bob.name, password: FIRST });
  assertEquals((await whoami(other)).uid, bob.uid);
  // Back again, with the other password; the one before stays what it was.
  const asAnn = await router.su({ via: asBob, user: ann.name, password: FIRST });
  assertEquals((await whoami(asAnn)).uid, ann.uid);
  const deep = await router.sudo({ via: asAnn, password: FIRST });
  assertEquals(deep.target, `web1,su=${bob.name},su=${ann.name},sudo`);
  assertEquals((await whoami(deep)).uid, 0);
  // What is opened behind it finds it open.
  const { pid } = await whoami(asBob);
  const behind = await router.local({ via: asBob });
  assertEquals(await output(behind, "ps -o ppid= -p $PPID").then(Number), pid);
  const { connections } = JSON.parse((await workspace.run("status", ["--json"])).stdout);
  assertEquals(connections.length, 7);

  const errors: string[] = [];
  using _ = nobodyToAsk();
  for (
    const opening of [
      () => router.su({ via: web, user: bob.name, password: WRONG }),
      () => router.sudo({ via: web, password: WRONG }),
      // Whose password it is not.
      () => router.sudo({ via: asBob, password: FIRST }),
    ]
  ) {
    const error = await assertRejects(opening, HoldfastError);
    assertEquals(error.kind, "auth");
    assertStringIncludes(error.message, "the password was refused");
    errors.push(error.message);
  }
  await checkSecrecy(workspace, ...errors);
});

const hosts = test.needs("sshd", "namespaces");

hosts("router.ssh: a host behind a host, each with its own password", async () => {
  await using outer = await startSshd({ passwordAuthentication: true, authorizedKeys: [] });
  await using inner = await startSshd({ passwordAuthentication: true, authorizedKeys: [] });
  const options = { runtimes: ["deno" as const], authorizedKeys: [] };
  await using ann = await createAccount({ ...options, password: FIRST });
  await using bob = await createAccount({ ...options, password: SECOND });
  await using workspace = await Workspace.create();
  await workspace.addHost("web1", { user: ann.name, port: outer.port, identity: null });
  await workspace.addHost("db1", { user: bob.name, port: inner.port, identity: null });
  for (const sshd of [outer, inner]) await workspace.trust(sshd);
  await using router = await routerIn(workspace);
  const web = await router.ssh({ host: "web1", configFile: workspace.config, password: FIRST });
  const db = await router.ssh({ host: "db1", via: web, password: SECOND });
  assertEquals(db.target, "web1,db1");
  assertEquals([(await whoami(web)).uid, (await whoami(db)).uid], [ann.uid, bob.uid]);
  const behind = await router.local({ via: db });
  assertEquals((await whoami(behind)).uid, bob.uid);
  assertEquals([await outer.logins(), await inner.logins()], [1, 1]);

  using _ = nobodyToAsk();
  // A password is for its own host: the way's is not tried for what lies behind it.
  const before = (await inner.log()).length;
  const other = await router.ssh({ host: "web1", configFile: workspace.config, password: FIRST });
  const refused = await assertRejects(
    () => router.ssh({ host: "db1", via: other, options: ["BatchMode=yes"] }),
    HoldfastError,
  );
  assertEquals(refused.kind, "auth");
  assert(!(await inner.log()).slice(before).includes("Failed password"));
  const wrong = await assertRejects(
    () => router.ssh({ host: "db1", via: web, password: WRONG, options: ["BatchMode=yes"] }),
    HoldfastError,
  );
  assertEquals(wrong.kind, "auth");
  assertStringIncludes((await inner.log()).slice(before), "Failed password");
  await checkSecrecy(workspace, refused.message, wrong.message);

  // It does lead through the other host.
  const waiting = behind.module<RemoteFunctions>(REMOTE).wait(new AbortController().signal);
  const lost = assertRejects(() => waiting, HoldfastError);
  await outer.killConnections();
  assertEquals((await lost).kind, "disconnected");
});

hosts(
  "router.ssh: options are one host's, the configuration goes for those behind, too",
  async () => {
    await using outer = await startSshd();
    await using inner = await startSshd();
    await using ann = await createAccount({ runtimes: ["deno"] });
    await using bob = await createAccount({ runtimes: ["node"] });
    await using workspace = await Workspace.create();
    await workspace.addHost("web1", { user: "nobody", port: 1 });
    await workspace.addHost("db1", { user: "nobody", port: inner.port });
    for (const sshd of [outer, inner]) await workspace.trust(sshd);
    await using router = await routerIn(workspace);
    const web = await router.ssh({
      host: "web1",
      user: ann.name,
      port: outer.port,
      configFile: workspace.config,
      options: ["ServerAliveInterval=7"],
    });
    const { pid } = await whoami(web);
    const db = await router.ssh({
      host: "db1",
      user: bob.name,
      via: web,
      options: ["ServerAliveInterval=9"],
    });
    assertEquals(db.target, `${ann.name}@web1:${outer.port},${bob.name}@db1`);
    const { uid, runtime } = await whoami(db);
    assertEquals([uid, runtime], [bob.uid, "node"]);
    // The way is the context that was given, not another one with those options.
    assertEquals((await whoami(web)).pid, pid);
    assertEquals([await outer.logins(), await inner.logins()], [1, 1]);
  },
);
