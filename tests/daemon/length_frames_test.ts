/** The first ansible-connection's protocol on the daemon's socket, spoken by python3 and byte by byte. */

import { createAccount } from "../support/accounts.ts";
import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

/** The whole client: ask one question, get three frames. Prints the answers to its arguments as JSON. */
const PYTHON = `
import json, os, socket, struct, sys
dir = os.environ["HOLDFAST_DIR"]
s = socket.socket(socket.AF_UNIX); s.connect(dir + "/socket")
f = s.makefile("rb")
def frame(): return f.read(struct.unpack("!Q", f.read(8))[0])
def ask(b): s.sendall(struct.pack("!Q", len(b)) + b); return int(frame()), frame(), frame()
init = dict(json.loads(sys.argv[1]), cookie=open(dir + "/cookie").read())
for question in [json.dumps(init) + "\\n#END_INIT#\\n"] + sys.argv[2:]:
    rc, out, err = ask(question.encode())
    print(json.dumps([rc, out.decode("latin-1"), err.decode("latin-1")]))
`;

type Answer = [status: number, stdout: string, stderr: string];

async function python(workspace: Workspace, init: object, ...questions: string[]) {
  const { code, stdout, stderr } = await new Deno.Command("python3", {
    args: ["-c", PYTHON, JSON.stringify(init), ...questions],
    env: await workspace.env(),
    clearEnv: true,
  }).output();
  const decoder = new TextDecoder();
  assertEquals([code, decoder.decode(stderr)], [0, ""]);
  const lines = decoder.decode(stdout).trim().split("\n");
  return lines.map((line): Answer => JSON.parse(line));
}

/** A workspace whose daemon runs. */
async function withDaemon(): Promise<Workspace> {
  const workspace = await Workspace.create();
  assertEquals((await workspace.run("exec", ["local", "--", "true"])).code, 0);
  return workspace;
}

/** A connection to its socket that speaks frames. */
class Client implements Disposable {
  readonly #conn: Deno.Conn;
  readonly #cookie: string;
  #closed = false;

  private constructor(conn: Deno.Conn, cookie: string) {
    this.#conn = conn;
    this.#cookie = cookie;
  }

  static async connect({ dir }: Workspace): Promise<Client> {
    const conn = await Deno.connect({ transport: "unix", path: `${dir}/socket` });
    return new Client(conn, await Deno.readTextFile(`${dir}/cookie`));
  }

  /** All at once: the daemon may end the connection at the first byte that makes no sense. */
  async write(...parts: Uint8Array[]): Promise<void> {
    const bytes = await new Blob(parts as BlobPart[]).bytes();
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }

  async send(...questions: string[]): Promise<void> {
    for (const question of questions) await this.write(frame(question));
  }

  init(fields: object = { connection: "local" }): Promise<void> {
    return this.send(JSON.stringify({ ...fields, cookie: this.#cookie }));
  }

  async answer(): Promise<Answer> {
    const texts: string[] = [];
    for (let i = 0; i < 3; i++) {
      const header = await this.#read(8);
      const size = Number(new DataView(header.buffer).getBigUint64(0));
      texts.push(new TextDecoder().decode(await this.#read(size)));
    }
    return [Number(texts[0]), texts[1], texts[2]];
  }

  /** Everything up to the end that the daemon makes; a reset when it has left a question unread. */
  async rest(): Promise<string> {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(1024);
    let text = "";
    try {
      for (;;) {
        const count = await this.#conn.read(buffer);
        if (count === null) break;
        text += decoder.decode(buffer.subarray(0, count), { stream: true });
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
    }
    return text;
  }

  async closeWrite(): Promise<void> {
    await (this.#conn as Deno.UnixConn).closeWrite().catch((error) => {
      if (!(error instanceof Deno.errors.NotConnected)) throw error;
    });
  }

  async #read(size: number): Promise<Uint8Array<ArrayBuffer>> {
    const all = new Uint8Array(size);
    for (let at = 0; at < size;) {
      const count = await this.#conn.read(all.subarray(at));
      if (count === null) throw new Error("Cannot read frame: the daemon ended");
      at += count;
    }
    return all;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }
}

function header(size: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, size);
  return bytes;
}

function frame(text: string): Uint8Array {
  const payload = new TextEncoder().encode(text);
  return new Uint8Array([...header(BigInt(payload.length)), ...payload]);
}

test.needs("python3", "sshd", "namespaces")(
  "length frames: ten lines of python run commands and move files",
  async () => {
    await using account = await createAccount({ runtimes: ["node"], password: "corr&ct" });
    await using sshd = await startSshd({ passwordAuthentication: true, authorizedKeys: [] });
    await using workspace = await withDaemon();
    await workspace.trust(sshd);
    await Deno.writeTextFile(`${workspace.home}/from`, "text");
    const init = {
      connection: "smart",
      remote_addr: "127.0.0.1",
      remote_user: account.name,
      port: sshd.port,
      password: "corr&ct",
      ssh_args: `-o UserKnownHostsFile=${workspace.knownHosts}`,
      shell: "sh",
      cwd: workspace.home,
    };
    const answers = await python(
      workspace,
      init,
      "EXEC: id -un; printf '\\377' >&2; exit 3",
      "PUT: from 'over there'",
      "EXEC: cat 'over there'",
      `FETCH: 'over there' ${workspace.home}/back`,
      "FETCH: /no/such x",
      "LIST: x",
      "EXEC: kill -TERM $$",
    );
    assertEquals(answers.slice(0, 5), [
      [0, "", "holdfast: ignored in the init block: shell\n"],
      [3, `${account.name}\n`, "\xff"],
      [0, "", ""],
      [0, "text", ""],
      [0, "", ""],
    ]);
    assertEquals(await Deno.readTextFile(`${workspace.home}/back`), "text");
    const [missing, unknown, killed] = answers.slice(5);
    assertEquals([missing[0], unknown[0], killed[0]], [255, 2, 143]);
    assertStringIncludes(missing[2], "/no/such");
    assertStringIncludes(unknown[2], "EXEC: COMMAND");
    assertEquals(await sshd.logins(), 1);
    const log = await Deno.readTextFile(`${workspace.dir}/log`);
    assert(!log.includes("corr&ct"));
  },
);

test("length frames: nothing is answered to a wrong cookie but the refusal", async () => {
  await using workspace = await withDaemon();
  const cookie = await Deno.readTextFile(`${workspace.dir}/cookie`);
  for (const wrong of ["", cookie.slice(0, -1), cookie + "0", cookie.replace(/./g, "0"), 7, null]) {
    using client = await Client.connect(workspace);
    const init = JSON.stringify({ connection: "nonsense", cookie: wrong });
    await client.write(frame(init), frame("EXEC: touch owned"));
    const [status, stdout, stderr] = await client.answer();
    assertEquals([status, stdout], [255, ""]);
    assertStringIncludes(stderr, "Cannot authenticate");
    assertEquals(await client.rest(), "");
  }
});

test("length frames: a bad init block is told and ends the connection", async () => {
  await using workspace = await withDaemon();
  for (const fields of [{ connection: "winrm" }, {}, { connection: "local", cwd: "x" }]) {
    using client = await Client.connect(workspace);
    await client.init(fields);
    const [status, stdout, stderr] = await client.answer();
    assertEquals([status, stdout], [2, ""]);
    assertStringIncludes(stderr, "Cannot read init block");
    assertEquals(await client.rest(), "");
  }
  using client = await Client.connect(workspace);
  await client.send("not json");
  assertEquals((await client.answer())[0], 2);
  assertEquals(await client.rest(), "");
});

test("length frames: garbage and half a frame end only that connection", async () => {
  await using workspace = await withDaemon();
  using good = await Client.connect(workspace);
  await good.init();
  assertEquals(await good.answer(), [0, "", ""]);
  const garbage = [
    [header(0xffff_ffff_ffffn)],
    [header(1024n * 1024n + 1n), new Uint8Array(100)],
    [new Uint8Array(64 * 1024)],
    [header(50n), new Uint8Array(20)],
    [header(50n).subarray(0, 5)],
  ];
  for (const parts of garbage) {
    using client = await Client.connect(workspace);
    await client.write(...parts);
    await client.closeWrite();
    const rest = await client.rest();
    assert(!/stack|at file/.test(rest), rest);
    using begun = await Client.connect(workspace);
    await begun.init();
    assertEquals((await begun.answer())[0], 0);
    await begun.write(...parts);
    await begun.closeWrite();
    assert(!/stack|at file/.test(await begun.rest()));
  }
  await good.send("EXEC: echo still here");
  assertEquals(await good.answer(), [0, "still here\n", ""]);
});

test("length frames: questions sent ahead are answered in order", async () => {
  await using workspace = await withDaemon();
  using client = await Client.connect(workspace);
  await client.init();
  await client.send("EXEC: echo 1", "", "EXEC: echo 3; exit 3", "PUT: relative x", "EXEC: cat");
  const answers: Answer[] = [];
  for (let i = 0; i < 6; i++) answers.push(await client.answer());
  assertEquals(answers.map(([status]) => status), [0, 0, 2, 3, 2, 0]);
  assertEquals([answers[1][1], answers[3][1]], ["1\n", "3\n"]);
  assertStringIncludes(answers[4][2], "its local path is relative");
});

test("length frames: an unreachable target is told, and tried again by the next action", async () => {
  await using workspace = await withDaemon();
  using client = await Client.connect(workspace);
  await client.init({ remote_addr: "127.0.0.1", port: 1, password: "s3cret" });
  await client.send("EXEC: id");
  for (let i = 0; i < 2; i++) {
    const [status, stdout, stderr] = await client.answer();
    assertEquals([status, stdout], [255, ""]);
    assertStringIncludes(stderr, "connection refused");
    assert(!stderr.includes("s3cret"));
  }
});

test("length frames: output over the bound is told, with the way round it", async () => {
  await using workspace = await withDaemon();
  using client = await Client.connect(workspace);
  await client.init();
  await client.send("EXEC: yes | head -c 70000000");
  await client.answer();
  const [status, , stderr] = await client.answer();
  assertEquals(status, 255);
  assertStringIncludes(stderr, "more than 64 MiB; run the command with holdfast exec");
});

test("length frames: the command ends when its client goes away", async () => {
  await using workspace = await withDaemon();
  const fifo = workspace.join("fifo");
  await new Deno.Command("mkfifo", { args: [fifo] }).output();
  using client = await Client.connect(workspace);
  await client.init();
  // The reading end comes to its end when the last writer, the command, is gone.
  await client.send(`EXEC: exec 3> ${fifo}; echo on >&3; exec sleep 300`);
  await client.answer();
  using reader = await Deno.open(fifo);
  const buffer = new Uint8Array(100);
  assertEquals(await reader.read(buffer), 3);
  client[Symbol.dispose]();
  assertEquals(await reader.read(buffer), null);
});
