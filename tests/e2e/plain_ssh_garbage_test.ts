/** What comes over a control socket and makes no sense: the daemon serves others as before, and keeps nothing of it. */
import { assert, assertEquals } from "../support/assert.ts";
import { test } from "../support/test.ts";
import { inWorld, until } from "./plain_ssh_world.ts";

const hosts = test.needs("linux", "sshd", "ssh", "namespaces", "bash", "python3");

/** Each leaves its sockets open, until a line comes. */
const CLIENT = `
import os, socket, struct, sys
path = sys.argv[1]
kept = []
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.settimeout(5)
    kept.append(s)
    return s
def text(value): return struct.pack(">I", len(value)) + value
def message(*parts):
    body = b"".join(struct.pack(">I", p) if isinstance(p, int) else text(p) for p in parts)
    return struct.pack(">I", len(body)) + body
HELLO = message(1, 4)
def session(command): return message(0x10000002, 1, b"", 0, 0, 0, 0, 0xffffffff, b"", command)
def send(s, data):
    try: s.sendall(data)
    except OSError: pass
def fds(s, *numbers):
    for number in numbers: socket.send_fds(s, [b"x"], [number])

for seed in range(20): send(connect(), os.urandom(1 << (seed % 17)))
send(connect(), b"GET / HTTP/1.1\\r\\n\\r\\n")
send(connect(), struct.pack(">I", 0))
send(connect(), struct.pack(">I", 0xffffffff) + b"x" * 1000)
send(connect(), HELLO + session(b"true")[:-3])
# A session without its descriptors, and much behind it.
send(connect(), HELLO + session(b"true") + b"y" * (6 << 20))
# Descriptors that nobody asked for; too few; another session on top.
zero, null = os.open("/dev/zero", os.O_RDONLY), os.open("/dev/full", os.O_WRONLY)
s = connect()
try:
    for _ in range(100): fds(s, zero)
except OSError: pass
s = connect(); send(s, HELLO + session(b"true")); fds(s, zero)
s = connect(); send(s, HELLO + session(b"sleep 1000")); fds(s, zero, null, null); send(s, session(b"true") * 3)
# Who asks and asks, and never reads.
s = connect()
s.setblocking(False)
try:
    for _ in range(200000): s.send(message(0x10000004, 1))
except OSError: pass
# Many who say nothing.
for _ in range(100): connect()
os.write(1, b"sent\\n")
sys.stdin.readline()
`;

hosts(
  "plain ssh: garbage, floods and silence on a control socket",
  () =>
    inWorld(
      { runtime: "deno" },
      async ({ workspace, env, overHeld, daemon, leftOpen, account }) => {
        const pid = await daemon();
        const dir = `${workspace.dir}/ssh`;
        const paths = [...Deno.readDirSync(dir)].filter(({ isSymlink, name }) =>
          !isSymlink && (name.length === 40 || name === "exec")
        );
        assertEquals(paths.length, 2);
        await overHeld("ssh web1 true");
        const descriptors = () => [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
        const before = descriptors();
        for (const { name } of paths) {
          await using client = new Deno.Command("python3", {
            args: ["-c", CLIENT, `${dir}/${name}`],
            env,
            clearEnv: true,
            stdin: "piped",
            stdout: "piped",
          }).spawn();
          const reader = client.stdout.getReader();
          const { value } = await reader.read();
          assertEquals(new TextDecoder().decode(value), "sent\n");
          // While they are there, others are served.
          const ran = await overHeld("echo in | ssh web1 'cat; exit 7'");
          assertEquals(ran, { code: 7, stdout: "in\n", stderr: "" });
          assertEquals((await workspace.run("exec", ["web1", "exit 5"])).code, 5);
          await client.stdin.close();
          await reader.cancel();
          assertEquals((await client.status).code, 0);
          await until(() => descriptors() <= before);
          assertEquals(await leftOpen(), []);
          await until(() => !account.processes().some(({ command }) => /^sleep/.test(command)));
        }
        assertEquals(await daemon(), pid);
        const log = await Deno.readTextFile(`${workspace.dir}/log`);
        assert(!/internal error/.test(log), log);
        // It waits for something, and does not ask in a circle.
        const ticks = () => {
          const stat = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1].split(" ");
          return Number(stat[11]) + Number(stat[12]);
        };
        const used = ticks();
        await overHeld("ssh web1 sleep 1");
        assert(ticks() - used < 50, `${ticks() - used} of 100 ticks`);
      },
    ),
);
