/**
 * Plays the user at a terminal. A small Python program holds it, since Deno cannot make one: it goes by a list of what to
 * wait for and what to do then.
 */
import type { Workspace } from "./holdfast.ts";
import { programWords } from "./program.ts";

const PLAYER = `
import fcntl, json, os, pty, signal, struct, sys, termios
words, steps = json.loads(sys.argv[1]), json.loads(sys.argv[2])
master, slave = pty.openpty()
size = lambda rows, columns: fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
size(30, 100)
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.close(master)
    os.login_tty(slave) if hasattr(os, "login_tty") else (os.setsid(), fcntl.ioctl(slave, termios.TIOCSCTTY, 0), [os.dup2(slave, fd) for fd in (0, 1, 2)])
    os.execvp(words[0], words)
signal.signal(signal.SIGALRM, lambda *_: sys.exit("too slow, waiting for %r in %r" % (steps[:1], shown)))
signal.alarm(30)
seen, shown, ended = b"", b"", False
while steps:
    data = os.read(master, 65536)
    seen += data
    shown += data
    while steps and steps[0][0].encode() in seen:
        (wanted, action, value), seen = steps.pop(0), b""
        if action == "type": os.write(master, value.encode())
        if action == "size": size(*value)
        if action == "kill": os.kill(pid, getattr(signal, value))
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
os.write(slave, b"<end>")
while b"<end>" not in shown: shown += os.read(master, 65536)
print(json.dumps({"status": status, "shown": shown.decode(), "restored": before == termios.tcgetattr(slave)}))
`;

/** What is waited for, and what is done then. */
export type Step = [wanted: string, action: "type" | "size" | "kill", value: unknown];

/** Runs the product on a terminal of 30 rows and 100 columns; resolves when it has ended. */
export async function play(workspace: Workspace, words: string[], steps: Step[]) {
  const program = programWords({ home: workspace.home });
  const command = [...program, ...workspace.args(words[0], ...words.slice(1))];
  return await playCommand(command, steps, { ...await workspace.env(), TERM: "xterm" });
}

/** The same with any program, in exactly that environment. */
export async function playCommand(command: string[], steps: Step[], env: Record<string, string>) {
  const { success, stdout, stderr } = await new Deno.Command("python3", {
    args: ["-c", PLAYER, JSON.stringify(command), JSON.stringify(steps)],
    env,
    clearEnv: true,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr) || "the player was too slow");
  const played = JSON.parse(new TextDecoder().decode(stdout)) as {
    status: number;
    shown: string;
    restored: boolean;
  };
  // Python tells an end by signal N as -N; a shell tells it as 128+N.
  if (played.status < 0) played.status = 128 - played.status;
  return played;
}
