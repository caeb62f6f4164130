/**
 * `deno task demo`: Holdfast's main job on an embedded SSH server, with a real daemon and real client processes
 * in a home of their own. Needs no host, leaves nothing behind, prints what each step took.
 */
// @ts-types="@types/ssh2"
import ssh2 from "ssh2";
import { selfCommand } from "../lib/rendezvous/self_command.ts";
import { startDemoServer } from "./demo_server.ts";

const MIB = 1024 * 1024;
const SIZE = 64 * MIB;

/** Deno's cache of this process, so that the clients in their own home need not fill another. */
const denoDir = Deno.env.get("DENO_DIR") || `${Deno.env.get("HOME")}/.cache/deno`;

const home = await Deno.makeTempDir({ prefix: "holdfast-demo-" });
const failures: string[] = [];
const rows: [what: string, took: string, note: string][] = [];
try {
  await demo();
} finally {
  await holdfast(["stop"]).catch(() => {});
  await Deno.remove(home, { recursive: true });
}
const width = Math.max(...rows.map(([what]) => what.length));
console.log();
for (const [what, took, note] of rows) {
  console.log(`  ${what.padEnd(width)}  ${took.padStart(9)}  ${note}`);
}
for (const failure of failures) console.error(`demo: ${failure}`);
console.log(failures.length === 0 ? "\nEverything verified; nothing is left behind." : "\nFAILED");
Deno.exit(failures.length === 0 ? 0 : 1);

async function demo(): Promise<void> {
  const key = ssh2.utils.generateKeyPairSync("ed25519");
  await Deno.writeTextFile(`${home}/key`, key.private, { mode: 0o600 });
  await using server = await startDemoServer({ clientKey: key.public });
  await Deno.writeTextFile(`${home}/known_hosts`, server.hostKeyLine);
  await Deno.writeTextFile(
    `${home}/config`,
    [
      "Host demo",
      "  HostName 127.0.0.1",
      `  Port ${server.port}`,
      `  User ${Deno.env.get("USER") || "demo"}`,
      `  IdentityFile ${home}/key`,
      "  IdentitiesOnly yes",
      `  UserKnownHostsFile ${home}/known_hosts`,
      "  StrictHostKeyChecking yes",
      "",
    ].join("\n"),
  );
  console.log(`An SSH server listens on 127.0.0.1:${server.port}; Holdfast has never seen it.`);
  const options = ["-F", `${home}/config`];
  const exec = (command: string) => holdfast(["exec", ...options, "demo", "--", command]);

  await step("daemon start, connect, log in, first command", async () => {
    const { stdout } = await exec("echo hello");
    check(stdout === "hello\n", `the first command said ${JSON.stringify(stdout)}`);
    return "one process, nothing was running before";
  });
  await step("a second command", async () => {
    const { code } = await exec("exit 7");
    check(code === 7, `exit status ${code} instead of 7`);
    return "its exit status comes back";
  });
  const hundred = await step("a hundred more", async () => {
    for (let i = 0; i < 100; i++) {
      const { stdout } = await exec(`echo ${i}`);
      check(stdout === `${i}\n`, `command ${i} said ${JSON.stringify(stdout)}`);
    }
    return "";
  });
  rows[rows.length - 1][2] = `${(hundred / 100).toFixed(1)} ms each, whole processes`;

  const content = new Uint8Array(SIZE);
  for (let at = 0; at < SIZE; at += 65536) crypto.getRandomValues(content.subarray(at, at + 65536));
  await Deno.writeFile(`${home}/original`, content);
  const remote = `${home}/copy`;
  const put = await step("put 64 MiB", async () => {
    const { code, stderr } = await holdfast([
      "put",
      ...options,
      "demo",
      `${home}/original`,
      remote,
    ]);
    check(code === 0, `put failed: ${stderr}`);
    return "";
  });
  rows[rows.length - 1][2] = rate(put);
  const fetch = await step("fetch 64 MiB", async () => {
    const { code, stderr } = await holdfast(["fetch", ...options, "demo", remote, `${home}/back`]);
    check(code === 0, `fetch failed: ${stderr}`);
    return "";
  });
  rows[rows.length - 1][2] = rate(fetch);
  check(equal(await Deno.readFile(`${home}/back`), content), "the file came back changed");

  await step("relay: three actions on stdin", async () => {
    const lines = [
      `EXEC: echo one`,
      `PUT: ${home}/key ${home}/relayed`,
      `EXEC: cat ${home}/relayed`,
    ];
    const { code, stdout, stderr } = await holdfast(
      ["client", ...options, "demo"],
      lines.map((line) => `${line}\n`).join(""),
    );
    check(code === 0 && stdout === `one\n${key.private}`, `the relay said ${stdout}${stderr}`);
    return "EXEC, PUT, EXEC over one session";
  });
  check(server.seen.connections === 1, `${server.seen.connections} connections were made`);
  rows.push([
    "connections the server saw",
    String(server.seen.connections),
    "for all of the above",
  ]);
}

async function step(what: string, run: () => Promise<string>): Promise<number> {
  const began = performance.now();
  const note = await run();
  const took = performance.now() - began;
  rows.push([
    what,
    took < 10_000 ? `${took.toFixed(0)} ms` : `${(took / 1000).toFixed(1)} s`,
    note,
  ]);
  console.log(`- ${what}`);
  return took;
}

function rate(milliseconds: number): string {
  return `${(SIZE / MIB / (milliseconds / 1000)).toFixed(0)} MiB/s, verified end to end`;
}

function check(holds: boolean, failure: string): void {
  if (!holds) failures.push(failure);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

async function holdfast(
  [subcommand, ...args]: string[],
  input = "",
): Promise<{ code: number; stdout: string; stderr: string }> {
  const [program, ...words] = selfCommand(subcommand);
  const child = new Deno.Command(program, {
    args: [...words, ...args],
    env: { HOME: home, HOLDFAST_DIR: `${home}/run`, DENO_DIR: denoDir, SSH_AUTH_SOCK: "" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}
