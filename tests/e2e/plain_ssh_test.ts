/** The system's own ssh over a connection that the daemon holds: streams, statuses, and what it hands over of its own. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { waitUntilGone } from "../support/processes.ts";
import { test } from "../support/test.ts";
import { inWorld, until } from "./plain_ssh_world.ts";

const hosts = test.needs("linux", "sshd", "ssh", "namespaces", "bash", "python3");

/** Starts a program whose standard output does not block, reads that slowly, and prints how much came and a digest. */
const SLOW_READER = `
import hashlib, socket, subprocess, sys, time
ours, theirs = socket.socketpair()
theirs.setblocking(False)
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=theirs)
theirs.close()
total, digest = 0, hashlib.sha256()
while True:
    data = ours.recv(7000)
    if not data: break
    total += len(data)
    digest.update(data)
    if total % 50 == 0: time.sleep(0.001)
print(total, child.wait(), digest.hexdigest())
`;

for (const runtime of ["deno", "none"] as const) {
  hosts(
    `plain ssh: streams and statuses, on ${runtime}`,
    (t) =>
      inWorld({ runtime }, async (world) => {
        const { overHeld, bash, account, workspace, ssh, env } = world;
        const gone = async (pattern: RegExp) => {
          const left = () => account.processes().filter(({ command }) => pattern.test(command));
          assertEquals(await waitUntilGone(left, { deadline: 15_000 }), []);
        };

        await t.step("streams stay apart, statuses arrive", async () => {
          assertEquals(
            await overHeld("echo in | ssh web1 'cat; echo err >&2; exit 7'"),
            { code: 7, stdout: "in\n", stderr: "err\n" },
          );
          assertEquals(await overHeld("ssh web1 'kill -9 $$'"), {
            code: 255,
            stdout: "",
            stderr: "",
          });
          assertEquals((await overHeld("ssh web1 exit 0")).code, 0);
          assertEquals((await overHeld("echo 'echo shell; exit 4' | ssh -T web1")).code, 4);
          assertEquals((await overHeld("ssh web1 'cat; echo end' <&-")).stdout, "end\n");
          const both = await overHeld("ssh web1 'echo a; echo b >&2; echo c' 2>&1");
          assertEquals([...both.stdout].sort().join("").trim(), "abc");
        });

        await t.step("megabytes of any bytes, in and out", async () => {
          const { code, stdout } = await overHeld(
            'head -c 5000000 /dev/urandom > "$FILES/given"; ' +
              'ssh web1 cat < "$FILES/given" > "$FILES/given-back"; ' +
              'cmp "$FILES/given" "$FILES/given-back" && ' +
              'cat "$FILES/given" | ssh web1 cat | cmp - "$FILES/given" && echo same',
          );
          assertEquals([code, stdout], [0, "same\n"]);
        });

        await t.step("files keep their place", async () => {
          const { stdout } = await overHeld(
            'cd "$FILES"; printf "one\\n" > given-log; ' +
              "ssh web1 echo two >> given-log; " +
              "{ echo three; ssh web1 echo four; echo five; } >> given-log; " +
              "printf 'first\\nrest\\n' > given-in; " +
              "{ read line; ssh web1 cat; } < given-in; echo; cat given-log",
          );
          assertEquals(stdout, "rest\n\none\ntwo\nthree\nfour\nfive\n");
        });

        await t.step("-n and an input that is none", async () => {
          const { stdout } = await overHeld(
            "printf 'a\\nb\\n' | while read line; do ssh -n web1 echo $line; done; " +
              "ssh web1 cat < /dev/null; ssh -n web1 'cat; echo end'",
          );
          assertEquals(stdout, "a\nb\nend\n");
          // With -f who asked for it is gone before it runs.
          await overHeld("ssh web1 rm -f ended; ssh -f web1 'cat; touch ended'");
          await until(() => exists(`${account.home}/ended`));
        });

        await t.step(
          "a socket that does not block and is read slowly gets each byte once",
          async () => {
            const made = await workspace.run("exec", [
              "web1",
              "head -c 3000000 /dev/urandom > random; sha256sum < random",
            ]);
            const digest = made.stdout.split(" ")[0];
            const { stdout } = await new Deno.Command("python3", {
              args: ["-c", SLOW_READER, ...ssh("web1", "cat random")],
              env,
              clearEnv: true,
            }).output();
            assertEquals(new TextDecoder().decode(stdout), `3000000 0 ${digest}\n`);
          },
        );

        await t.step("a reader that leaves ends the command", async () => {
          const { stdout } = await overHeld("ssh web1 'exec yes held' | head -1");
          assertEquals(stdout, "held\n");
          await gone(/^yes/);
          const input = await overHeld("yes | ssh web1 'head -1; exit 3'; echo ${PIPESTATUS[1]}");
          assertEquals(input.stdout, "y\n3\n");
        });

        await t.step("an ssh that is killed takes its command along", async () => {
          for (const signal of ["TERM", "KILL"]) {
            const line = "trap 'echo hung up > hup; exit' HUP; touch started; " +
              "while :; do sleep 0.05; done";
            await bash("ssh web1 rm -f started hup");
            const [program, ...args] = ssh("web1", line);
            const child = new Deno.Command(program, { args, env, clearEnv: true, stdin: "null" })
              .spawn();
            await until(() => exists(`${account.home}/started`));
            child.kill(`SIG${signal}` as Deno.Signal);
            await child.status;
            await until(() => exists(`${account.home}/hup`));
            await gone(/while :/);
          }
        });

        await t.step("killed before a reader that stands still, it leaves nothing", async () => {
          const fifo = workspace.join("given-fifo");
          await bash(`mkfifo ${fifo}; ssh web1 rm -f written`);
          // Somebody has it open who never reads.
          using _reader = await Deno.open(fifo, { read: true, write: true });
          for (const last of ["", "; sleep 60"]) {
            const line = ssh("web1", `'head -c 300000 /dev/zero; touch written${last}'`).join(" ");
            const child = new Deno.Command("bash", {
              args: ["-c", `exec ${line} > ${fifo} < /dev/zero`],
              env,
              clearEnv: true,
              stdin: "null",
            }).spawn();
            await until(() => exists(`${account.home}/written`));
            assert((await world.open()).some((path) => path.endsWith("/given-fifo")));
            child.kill("SIGKILL");
            await child.status;
            await gone(/sleep/);
            assertEquals(await world.leftOpen(), []);
            await bash("ssh web1 rm written");
          }
        });

        await t.step("variables are sent, as far as anybody asks for it", async () => {
          const { stdout } = await overHeld(
            "ssh -o SendEnv=SENT_A -o SetEnv=SENT_B=two web1 'echo $SENT_A $SENT_B $SENT_C'",
            { env: { SENT_A: "one", SENT_C: "three" } },
          );
          assertEquals(stdout, "one two\n");
        });

        await t.step("-W reaches what the host reaches", async () => {
          const { stdout } = await overHeld(`ssh -W localhost:${world.sshd.port} web1 < /dev/null`);
          assertMatch(stdout, /^SSH-2\.0-/);
          const refused = await bash("ssh -W localhost:1 web1 < /dev/null");
          assertEquals(refused.code, 255);
        });

        await t.step("what is not done over it logs in by itself", async () => {
          const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
          const forward = `-L 127.0.0.1:${free.addr.port}:localhost:1`;
          free.close();
          for (const words of [forward, "-X", "-A"]) {
            const before = await world.sshd.logins();
            const { code, stdout } = await bash(`ssh ${words} web1 'cat; exit 6' <<< good`, {
              env: { DISPLAY: ":99", SSH_AUTH_SOCK: workspace.join("none") },
            });
            assertEquals([code, stdout], [6, "good\n"], words);
            if (words !== "-X") assertEquals(await world.sshd.logins() > before, true, words);
          }
        });

        await t.step("sixty at once", async () => {
          const { stdout } = await overHeld(
            "for i in {1..60}; do ssh web1 'read x; echo $x; exit 3' <<< $i & all+=($!); done; " +
              "s=0; for j in ${all[@]}; do wait $j; s=$((s+$?)); done; echo status $s",
          );
          const lines = stdout.trim().split("\n");
          assertEquals(lines.pop(), "status 180");
          assertEquals(
            lines.map(Number).sort((a, b) => a - b),
            Array.from({ length: 60 }, (_, at) => at + 1),
          );
        });

        await t.step("check, stop and exit", async () => {
          const check = await bash("ssh -O check web1");
          assertEquals([check.code, check.stderr], [
            0,
            `Master running (pid=${await world.daemon()})\r\n`,
          ]);
          const stopped = await bash("ssh -O stop web1; ssh -O check web1");
          assertEquals(stopped.code, 255);
          assertEquals((await bash("ssh web1 true")).code, 0);
          assertEquals((await overHeld("ssh -O check web1; ssh web1 exit 5")).code, 5);
          const ended = await bash(
            "ssh web1 'touch running; sleep 60' & until ssh web1 test -e running; do :; done; " +
              "ssh -O exit web1; wait $!; echo status $?",
          );
          assertStringIncludes(ended.stdout, "status 255");
          await gone(/^sleep/);
          assertEquals((await bash("ssh web1 exit 5")).code, 5);
        });

        assertEquals(await world.leftOpen(), []);
        const log = await Deno.readTextFile(`${workspace.dir}/log`);
        assert(!/internal error/.test(log), log);
      }),
  );
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
