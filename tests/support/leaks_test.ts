import { assertEquals, assertRejects, assertStringIncludes } from "./assert.ts";
import { leakCheck } from "./leaks.ts";
import { readProcess } from "./processes.ts";
import { tempBase, tempDir } from "./temp.ts";
import { test } from "./test.ts";

const linux = test.needs("linux", "setsid");

/** Runs a body that leaks and returns the check's complaint. */
async function complaint(body: () => unknown): Promise<string> {
  const error = await assertRejects(() => leakCheck("leaky", body, { grace: 30 }), Error);
  return error.message;
}

linux("leak check: passes what leaves nothing and returns its result", async () => {
  const result = await leakCheck("clean", async () => {
    await using dir = await tempDir();
    const { code } = await new Deno.Command("ls", { args: [dir.path], stdout: "null" }).output();
    return code;
  });
  assertEquals(result, 0);
});

linux("leak check: finds and kills a child left running", async () => {
  let child: Deno.ChildProcess | undefined;
  const message = await complaint(() => {
    child = new Deno.Command("sleep", { args: ["1000"] }).spawn();
  });
  assertEquals((await child!.status).signal, "SIGKILL");
  assertStringIncludes(message, `Test "leaky" left processes ${child!.pid} (`);
});

linux("leak check: finds a detached process by its environment", async () => {
  let pid = 0;
  const message = await complaint(async () => {
    const { stdout } = await new Deno.Command("sh", {
      args: ["-c", "setsid sleep 1001 >/dev/null 2>&1 & echo $!"],
      env: { HOLDFAST_DIR: `${tempBase()}/run` },
    }).output();
    pid = Number(new TextDecoder().decode(stdout));
  });
  assertStringIncludes(message, `${pid} (`);
  assertEquals(readProcess(pid), undefined);
});

linux("leak check: finds a directory left behind", async () => {
  const dirs: AsyncDisposable[] = [];
  const message = await complaint(async () => {
    dirs.push(await tempDir());
  });
  assertStringIncludes(message, `directories ${tempBase()}/`);
  await dirs[0][Symbol.asyncDispose]();
});

linux("leak check: the test's own error wins and its processes are killed", async () => {
  let child: Deno.ChildProcess | undefined;
  const error = await assertRejects(() =>
    leakCheck("failing", () => {
      child = new Deno.Command("sleep", { args: ["1000"] }).spawn();
      throw new Error("my own");
    }, { grace: 30 }), Error);
  assertEquals(error.message, "my own");
  assertEquals((await child!.status).signal, "SIGKILL");
});
