/** How the core starts behind a shell: on each runtime, through noise, and when it cannot. */

import { encodeGreeting, NoGreeting } from "../../lib/core/greeting.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import type { Child } from "../../lib/core/host.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import { Router } from "../../lib/core/router.ts";
import { ReceiveStream } from "../../lib/core/stream.ts";
import { coreSource } from "../../lib/sources/core_source.ts";
import { bootstrap, type Bootstrapped, NoRuntime } from "../../lib/parent/bootstrap.ts";
import { firstStage } from "../../lib/parent/first_stage.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../support/assert.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { findExecutable, programOf, type Runtime, sharedRuntime } from "../support/tools.ts";

/** A home with exactly these runtimes in ~/bin, which with `tools` is all of PATH. */
interface Target extends AsyncDisposable {
  home: TempDir;
  /** Runs the first stage there: by `shell -c`, after the words of `before`. */
  start(options?: StartOptions): Promise<Bootstrapped & { router: Router; child: Child }>;
}

interface StartOptions {
  shell?: string[];
  /** Shell code before the first stage. */
  before?: string;
  /** In place of the first stage. */
  command?: string;
  env?: Record<string, string>;
  deadline?: number;
  signal?: AbortSignal;
  wrapper?: string[];
}

/** What the first stage and the commands of the tests need, and no runtime. */
const TOOLS = ["sh", "cat", "env", "sleep", "echo", "printf", "head", "dash", "bash"];

async function target(...runtimes: Runtime[]): Promise<Target> {
  const home = await tempDir();
  const tools = await tempDir();
  const running: Promise<unknown>[] = [];
  const links: Bootstrapped[] = [];
  for (const tool of TOOLS) {
    const path = findExecutable(tool);
    if (path) await Deno.symlink(path, tools.join(tool));
  }
  for (const runtime of runtimes) {
    await Deno.symlink(sharedRuntime(runtime), tools.join(programOf(runtime)));
  }
  return {
    home,
    async start(options = {}) {
      const { shell = ["sh"], before = "", command, env = {}, wrapper = [] } = options;
      const { deadline, signal } = options;
      const core = await coreSource();
      const line = before + (command ?? firstStage(core));
      const all = { HOME: home.path, PATH: tools.path, SHELL: "/bin/sh", ...env };
      const words = ["/usr/bin/env", "-i", ...Object.entries(all).map(([k, v]) => `${k}=${v}`)];
      const child = await denoHost.spawn({
        command: [...wrapper, ...words, findExecutable(shell[0])!, ...shell.slice(1), "-c", line],
      });
      running.push(child.exit);
      const router = new Router({ id: 0 });
      const started = await bootstrap(router, child, {
        id: 1,
        name: "t",
        owner: "t",
        core,
        deadline,
        signal,
      });
      links.push(started);
      return { ...started, router, child };
    },
    async [Symbol.asyncDispose]() {
      for (const { link } of links) link.close(null);
      await Promise.all([...links.map(({ closed }) => closed), ...running]);
      await home[Symbol.asyncDispose]();
      await tools[Symbol.asyncDispose]();
    },
  };
}

async function output(router: Router, command: string | string[]): Promise<string> {
  const stdout = ReceiveStream.open(router, 1);
  const stderr = ReceiveStream.open(router, 1);
  const args = { command, stdin: null, stdout: stdout.id, stderr: stderr.id };
  const exit = router.call(1, { service: "process", method: "exec", args });
  let text = "";
  for (let chunk = await stdout.read(); chunk; chunk = await stdout.read()) {
    text += new TextDecoder().decode(chunk);
  }
  await exit;
  while (await stderr.read());
  return text;
}

const RUNTIMES: Runtime[] = ["deno", "node", "node18", "bun"];

/** Every path below `dir`. */
function tree(dir: string): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory }) => [
    `${dir}/${name}`,
    ...isDirectory ? tree(`${dir}/${name}`) : [],
  ]).sort();
}

for (const runtime of RUNTIMES) {
  test.needs("linux", runtime)(
    `bootstrap (${runtime}): starts the core and writes nothing to disk`,
    async () => {
      await using at = await target(runtime);
      const before = tree(at.home.path);
      const started = await at.start();
      assertEquals(started.runtime, programOf(runtime));
      assertEquals(await output(started.router, "echo $HOME"), `${at.home.path}\n`);
      started.link.close(null);
      await started.child.exit;
      assertEquals(tree(at.home.path), before);
    },
  );

  test.needs("linux", runtime, "strace")(
    `bootstrap (${runtime}): opens no file of the disk for writing`,
    async () => {
      await using at = await target(runtime);
      await using trace = await tempDir();
      const log = trace.join("log");
      const calls =
        "trace=open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat";
      const { router, link, child } = await at.start({
        wrapper: ["strace", "-f", "-o", log, "-e", calls],
      });
      await router.call(1, { service: "context", method: "ping" });
      link.close(null);
      await child.exit;
      const writes = (await Deno.readTextFile(log)).split("\n").filter((line) =>
        /O_WRONLY|O_RDWR|O_CREAT|\b(creat|mkdir|mkdirat|rename\w*|unlink\w*)\(/.test(line) &&
        !/"\/(dev|proc)\//.test(line) && !/= -1 E/.test(line)
      );
      assertEquals(writes, []);
    },
  );

  test.needs("linux", runtime)(
    `bootstrap (${runtime}): noise before the handshake does no harm`,
    async () => {
      await using at = await target(runtime);
      const noise = "printf 'Last login: never\\r\\n\\377\\000HOLD\\377\\033[2J'; echo oops >&2;";
      const { router } = await at.start({ before: noise });
      assertEquals(await output(router, ["echo", "fine"]), "fine\n");
    },
  );

  test.needs("linux", runtime)(
    `bootstrap (${runtime}): leaves nothing of itself in the commands' environment`,
    async () => {
      await using at = await target(runtime);
      const { router } = await at.start();
      const names = (text: string) =>
        text.trim().split("\n").map((line) => line.split("=")[0]).filter((name) =>
          !["_", "PWD", "OLDPWD", "SHLVL"].includes(name)
        ).sort();
      assertEquals(names(await output(router, "env")), ["HOME", "PATH", "SHELL"]);
    },
  );

  test.needs("linux", runtime)(
    `bootstrap (${runtime}): a DENO_DIR of the user's own stays in the environment`,
    async () => {
      await using at = await target(runtime);
      const { router } = await at.start({ env: { DENO_DIR: "/some/where else" } });
      assertEquals(await output(router, 'echo "$DENO_DIR"'), "/some/where else\n");
    },
  );
}

const SHELLS: [string, string[]][] = [
  ["dash", ["dash"]],
  ["bash", ["bash"]],
  ["busybox", ["busybox", "sh"]],
  ["zsh", ["zsh"]],
  ["ksh", ["ksh"]],
  ["tcsh", ["tcsh"]],
  ["fish", ["fish"]],
];

for (const [name, shell] of SHELLS) {
  test.needs("linux", name)(`bootstrap: passes through the login shell ${name}`, async () => {
    await using at = await target("deno");
    assertEquals((await at.start({ shell })).runtime, "deno");
  });
}

test.needs("linux")("bootstrap: without a runtime it is NoRuntime", async () => {
  await using at = await target();
  await assertRejects(() => at.start(), NoRuntime);
});

test.needs("linux")("bootstrap: without a runtime and with noise it is NoRuntime", async () => {
  await using at = await target();
  await assertRejects(() => at.start({ before: "echo welcome; echo hint >&2;" }), NoRuntime);
});

for (
  const [what, place] of [["~/.deno/bin", ".deno/bin/deno"], ["~/.bun/bin", ".bun/bin/bun"], [
    "nvm's directory",
    ".nvm/versions/node/v20.1.0/bin/node",
  ]]
) {
  const runtime = place.split("/").at(-1) as Runtime;
  test.needs("linux", runtime)(`bootstrap: finds a runtime in ${what}`, async () => {
    await using at = await target();
    const path = at.home.join(place);
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.symlink(sharedRuntime(runtime), path);
    assertEquals((await at.start()).runtime, runtime);
  });
}

async function failure(options: StartOptions): Promise<HoldfastError> {
  await using at = await target();
  return await assertRejects(() => at.start(options), HoldfastError);
}

test.needs("linux")(
  "bootstrap: a target that exits at once is told with what it said",
  async () => {
    const error = await failure({ command: "echo This account is not available.; exit 1" });
    assertEquals(error.kind, "bootstrap");
    assertStringIncludes(error.message, "This account is not available.");
    assert(error.cause instanceof NoGreeting);
  },
);

test.needs("linux")("bootstrap: what the target said is safe to show", async () => {
  const error = await failure({ command: "printf 'a\\033]0;title\\007b\\n'; exit 1" });
  assertStringIncludes(error.message, "a\\x1b]0;title\\x07b");
});

test.needs("linux")("bootstrap: a target that prints garbage without end is refused", async () => {
  assertEquals((await failure({ command: "cat /dev/zero" })).kind, "bootstrap");
});

test.needs("linux")(
  "bootstrap: a target that hangs fails at the deadline, and is ended",
  async () => {
    const error = await failure({ command: "exec sleep 60", deadline: 1 });
    assertEquals(error.kind, "timeout");
  },
);

test.needs("linux")("bootstrap: one that nobody waits for any more is ended at once", async () => {
  const controller = new AbortController();
  const failed = failure({ command: "exec sleep 60", signal: controller.signal });
  controller.abort();
  assertEquals((await failed).kind, "cancelled");
  const { signal } = controller;
  assertEquals((await failure({ command: "exec sleep 60", signal })).kind, "cancelled");
});

test.needs("linux")(
  "bootstrap: a target that sends a greeting and never reads fails at the deadline",
  async () => {
    const greeting = "\\377\\000HOLD\\r\\n\\000\\001";
    const hash = "\\000".repeat(32);
    const command = `printf '${greeting}${hash}\\000\\000\\000\\002{}'; exec sleep 60`;
    const error = await failure({ command, deadline: 500 });
    assert(["timeout", "version"].includes(error.kind));
  },
);

test.needs("linux")("bootstrap: another core than the one that was sent is refused", async () => {
  const greeting = "\\377\\000HOLD\\r\\n\\000\\001";
  const hash = "\\001".repeat(32);
  const command = `printf '${greeting}${hash}\\000\\000\\000\\002{}'; exec cat > /dev/null`;
  assertEquals((await failure({ command })).kind, "version");
});

test.needs("linux")(
  "bootstrap: a core of another protocol version is refused by name",
  async () => {
    const greeting = "\\377\\000HOLD\\r\\n\\000\\002";
    const hash = "\\001".repeat(32);
    const command = `printf '${greeting}${hash}\\000\\000\\000\\002{}'; exec cat > /dev/null`;
    const error = await failure({ command });
    assertEquals(error.kind, "version");
    assertStringIncludes(error.message, "is 2, ours 1");
  },
);

test.needs("linux", "deno")("bootstrap: a runtime's name is shown safely", async () => {
  await using at = await target();
  const { hash } = await coreSource();
  const escaped = hash.replace(
    /../g,
    (pair) => "\\" + parseInt(pair, 16).toString(8).padStart(3, "0"),
  );
  const body = '{"runtime":"a\\\\u001b[2J"}';
  const head = `\\377\\000HOLD\\r\\n\\000\\001${escaped}\\000\\000\\000\\${
    (24).toString(8).padStart(3, "0")
  }`;
  const { runtime } = await at.start({ command: `printf '${head}${body}'; exec cat > /dev/null` });
  assertEquals(runtime, "a\\x1b[2J");
});

test("bootstrap: everything is sent before anything is heard, so that it costs one round trip", async () => {
  const core = { bytes: new Uint8Array(1000).fill(7), isCompressed: true, hash: "0".repeat(64) };
  const sent: number[] = [];
  let total = 0;
  const heard = Promise.withResolvers<Uint8Array | null>();
  const ended = Promise.withResolvers<{ code: number; signal: null }>();
  const end = () => {
    heard.resolve(null);
    ended.resolve({ code: 0, signal: null });
  };
  const child: Child = {
    pid: 0,
    stdin: {
      // deno-lint-ignore require-await
      async write(bytes) {
        total += bytes.length;
        // The greeting comes last; only then does the other side say a word.
        if (sent.push(bytes.length) === 2) heard.resolve(encodeGreeting({ runtime: "deno" }));
      },
      close: () => Promise.resolve(end()),
    },
    stdout: { read: () => heard.promise, cancel: end },
    stderr: { read: () => Promise.resolve(null), cancel() {} },
    exit: ended.promise,
    kill: end,
    isAlive: () => false,
    resize() {},
  };
  const names = { name: "t", owner: "t" };
  const started = await bootstrap(new Router({ id: 0 }), child, { id: 1, ...names, core });
  assertEquals(started.runtime, "deno");
  assertEquals([sent[0], total > 1000], [1000, true]);
  started.link.close(null);
  await started.closed;
});
