/** A host 30 ms away, and files larger than memory should be: transfers and the relay do the same as near by. */
import { assert, assertEquals } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { startDelayProxy } from "../support/delay_proxy.ts";
import { Workspace } from "../support/holdfast.ts";
import { peakMemory } from "../support/processes.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

/** Milliseconds, one way. */
const DELAY = 15;

for (const runtime of ["deno", "none"] as const) {
  const what = runtime === "none" ? "no runtime" : runtime;
  test.needs("sshd", "namespaces")(`far: put, fetch and relay, on ${what}`, async () => {
    await using sshd = await startSshd();
    await using account = await createAccount({ runtimes: runtime === "none" ? [] : [runtime] });
    await using proxy = startDelayProxy({ port: sshd.port, delay: DELAY });
    await using workspace = await Workspace.create();
    await workspace.addHost("far", { user: account.name, port: proxy.port });
    await workspace.trust(sshd, { port: proxy.port });
    const tree = workspace.join("tree");
    await Deno.mkdir(`${tree}/below`, { recursive: true });
    const content = new Uint8Array(5 << 20).map((_, at) => at * 31 + (at >> 8));
    await Deno.writeFile(`${tree}/large`, content);
    for (let i = 0; i < 50; i++) await Deno.writeTextFile(`${tree}/below/${i}`, `file ${i}\n`);
    const put = await workspace.run("put", ["far", tree, "there"]);
    assertEquals([put.code, put.stderr], [0, ""]);
    const back = workspace.join("back");
    const fetched = await workspace.run("fetch", ["far", "there", back]);
    assertEquals([fetched.code, fetched.stderr], [0, ""]);
    assertEquals(await Deno.readFile(`${back}/large`), content);
    for (let i = 0; i < 50; i++) {
      assertEquals(await Deno.readTextFile(`${back}/below/${i}`), `file ${i}\n`);
    }
    const { code, stdout } = await workspace.run("client", ["--json", "far"], {
      stdin: `EXEC: cat there/below/7\nFETCH: there/below/8 ${
        workspace.join("eight")
      }\nEXEC: exit 3\n`,
    });
    const answers = stdout.trim().split("\n").map((line) => JSON.parse(line));
    assertEquals([code, answers.map(({ rc }) => rc)], [3, [0, 0, 3]]);
    assertEquals(answers[0].stdout, "file 7\n");
    assertEquals(await Deno.readTextFile(workspace.join("eight")), "file 8\n");
    assertEquals(await sshd.logins(), 1);
  });
}

test.needs("linux")("put: a file of any size costs no more memory", async () => {
  await using workspace = await Workspace.create();
  const source = workspace.join("large");
  const size = 600 * 2 ** 20;
  await using file = await Deno.open(source, { write: true, createNew: true });
  await file.truncate(size);
  const result = workspace.join("result");
  const { code, stderr } = await workspace.run("put", ["local", source, result]);
  assertEquals([code, stderr], [0, ""]);
  assertEquals((await Deno.stat(result)).size, size);
  // The daemon and the context that wrote it; the client has ended.
  const peaks = workspace.processes().map(({ pid }) => peakMemory(pid) / 2 ** 20);
  assert(peaks.length >= 2 && peaks.every((megabytes) => megabytes < 300), `${peaks} MB`);
});
