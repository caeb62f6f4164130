/** A compromised host: its context speaks the protocol and breaks every rule. The daemon and the others stay unharmed. */
import {
  ADD_ROUTE,
  CALL_SERVICE,
  DEL_ROUTE,
  DETACHING,
  FORWARD_MODULE,
  GET_MODULE,
  LOAD_MODULE,
  SHUTDOWN,
} from "../../lib/core/constants.ts";
import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";
import { sharedRuntime } from "../support/tools.ts";

/** What stands in for deno on the host: greets as the core does, then sends `frames`. */
function hostile(frames: string): string {
  return `
const fs = require("fs"), crypto = require("crypto");
const size = Number(/N=(\\d+)/.exec(process.argv.join(" "))[1]);
const core = Buffer.alloc(size);
for (let at = 0; at < size;) {
  try { at += fs.readSync(0, core, at, size - at); } catch (error) { if (error.code !== "EAGAIN") throw error; }
}
const json = Buffer.from(JSON.stringify({ runtime: "deno" }));
const head = Buffer.alloc(46);
Buffer.from([0xff, 0, 0x48, 0x4f, 0x4c, 0x44, 0x0d, 0x0a]).copy(head);
head.writeUInt16BE(1, 8);
crypto.createHash("sha256").update(require("zlib").inflateRawSync(core)).digest().copy(head, 10);
head.writeUInt32BE(json.length, 42);
process.stdout.write(Buffer.concat([head, json]));
let heard = Buffer.alloc(0);
function frame({ dst = 0, src, auth, handle, reply = 0, body = {}, raw }) {
  const payload = raw ?? Buffer.from(JSON.stringify(body));
  const bytes = Buffer.alloc(26 + payload.length);
  bytes.writeUInt16BE(0x4d49, 0);
  [dst, src, auth, handle, reply, payload.length].forEach((n, at) => bytes.writeUInt32BE(n, 2 + 4 * at));
  payload.copy(bytes, 26);
  return bytes;
}
function attack(me) {
  const send = (header) => process.stdout.write(frame({ src: me, auth: me, ...header }));
  ${frames}
}
let begun = false;
process.stdin.on("data", (bytes) => {
  heard = Buffer.concat([heard, bytes]);
  const at = heard.indexOf(Buffer.from([0xff, 0, 0x48, 0x4f]));
  if (begun || at < 0 || heard.length < at + 46) return;
  const length = heard.readUInt32BE(at + 42);
  if (heard.length < at + 46 + length) return;
  begun = true;
  attack(JSON.parse(heard.subarray(at + 46, at + 46 + length)).id);
});
process.stdin.on("end", () => process.exit());
process.stdout.on("error", () => process.exit());
`;
}

async function makeWorld(frames: string) {
  await using stack = new AsyncDisposableStack();
  const sshd = stack.use(await startSshd());
  const good = stack.use(await createAccount({ runtimes: ["deno"] }));
  const evil = stack.use(await createAccount());
  await evil.write("evil.js", hostile(frames));
  const program = `#!/bin/sh\nexec ${sharedRuntime("node")} "$HOME/evil.js" "$@"\n`;
  await evil.write(".deno/bin/deno", program, { mode: 0o755 });
  const workspace = stack.use(await Workspace.create());
  await workspace.addHost("good", { user: good.name, port: sshd.port });
  await workspace.addHost("evil", { user: evil.name, port: sshd.port });
  await workspace.trust(sshd);
  const owned = stack.move();
  return { workspace, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

const ATTACKS: { name: string; frames: string; cut: boolean; says?: string }[] = [
  {
    name: "orders in the daemon's and in clients' names",
    cut: false,
    says: "dropped a frame",
    frames: `
      const stop = { service: "daemon", method: "stop", args: {} };
      for (let id = 0; id < 40; id++) {
        for (const header of [{ src: id, auth: id }, { src: me, auth: id }, { src: id, auth: me }]) {
          send({ ...header, handle: ${CALL_SERVICE}, reply: 1000, body: stop });
          send({ ...header, handle: ${SHUTDOWN} });
          send({ ...header, dst: id, handle: ${SHUTDOWN} });
        }
      }`,
  },
  {
    name: "privileged calls, routes and modules in its own name",
    cut: false,
    says: "announces context",
    frames: `
      for (const [service, method] of [["daemon", "stop"], ["daemon", "status"], ["connection", "open"],
        ["connection", "disconnect"], ["stack", "resolve"], ["routing", "grant"]]) {
        send({ handle: ${CALL_SERVICE}, reply: 1000, body: { service, method, args: { target: "local" } } });
      }
      for (let id = 0; id < 40; id++) {
        send({ handle: ${ADD_ROUTE}, body: { id } });
        send({ handle: ${DEL_ROUTE}, body: { ids: [id], kind: "disconnected", description: "x" } });
        send({ dst: id, handle: ${CALL_SERVICE}, reply: 1000,
          body: { service: "process", method: "exec", args: { command: "touch /tmp/owned" } } });
      }
      send({ handle: ${LOAD_MODULE}, raw: Buffer.from('{"id":"hops","needs":[],"requires":{}}\\n') });
      send({ handle: ${FORWARD_MODULE}, body: { id: "hops", to: 1 } });
      send({ handle: ${GET_MODULE}, body: { id: "../../etc/passwd" } });`,
  },
  {
    name: "the claim that it is detached, for itself and for others",
    cut: false,
    says: "it was not told to detach",
    frames: `
      for (let id = 0; id < 40; id++) {
        send({ handle: ${DETACHING} });
        send({ src: id, auth: id, handle: ${DETACHING} });
        send({ handle: ${CALL_SERVICE}, reply: 1000, body: { service: "routing", method: "detach", args: { context: me } } });
      }`,
  },
  {
    name: "a flood of forged frames",
    cut: true,
    frames: `for (let i = 0; i < 5000; i++) send({ src: 1, handle: 1234 });`,
  },
  {
    name: "a flood of routes that are not its own",
    cut: true,
    frames: `for (let id = 1000; id < 9000; id++) send({ handle: ${ADD_ROUTE}, body: { id } });`,
  },
  {
    name: "frames that are none",
    cut: true,
    frames: `process.stdout.write(Buffer.alloc(100000, 7));`,
  },
];

for (const { name, frames, cut, says } of ATTACKS) {
  test.needs("sshd", "namespaces", "node")(`hostile context: ${name}`, async () => {
    await using world = await makeWorld(frames);
    const { workspace } = world;
    const status = async () => JSON.parse((await workspace.run("status", ["--json"])).stdout);
    const exec = async (target: string, command: string) =>
      (await workspace.run("exec", [target, command])).stdout;
    assertEquals(await exec("good", "echo before"), "before\n");
    const { pid } = await status();
    await using busy = await workspace.spawn("exec", ["good", "cat"]);
    const writer = busy.stdin.getWriter();
    const reader = busy.stdout.getReader();
    // The very first command needs no core; its core attacks meanwhile.
    assertEquals(await exec("evil", "echo served directly"), "served directly\n");
    await workspace.run("exec", ["--timeout", "2", "evil", "true"]);
    await writer.write(new TextEncoder().encode("still there\n"));
    assertEquals(new TextDecoder().decode((await reader.read()).value), "still there\n");
    await writer.close();
    assertEquals((await busy.status).code, 0);
    await busy.stderr.cancel();
    await reader.cancel();
    assertEquals(await exec("good", "echo after"), "after\n");
    const after = await status();
    assertEquals(after.pid, pid);
    const held = after.connections.map(({ target }: { target: string }) => target);
    assert(held.includes("good"), `${held}`);
    const log = await Deno.readTextFile(`${workspace.dir}/log`);
    if (says) assertStringIncludes(log, says);
    if (cut) assertStringIncludes(log, "evil: closed: ");
    assert(!await Deno.stat("/tmp/owned").then(() => true, () => false));
  });
}
