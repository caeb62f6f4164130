/** `exec --with-ssh`: real tools in a context behind hops call `ssh`, and reach what was allowed and nothing else. */
import { assertEquals, assertMatch } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

for (const runtime of ["deno", "node18", "bun"] as const) {
  test.needs("sshd", "namespaces", "sudo", "rsync", "git", "scp", runtime)(
    `exec --with-ssh, from a context on ${runtime}`,
    async (t) => {
      await using sshd = await startSshd();
      const runtimes = [runtime];
      await using account = await createAccount({ runtimes, sudo: "nopasswd" });
      await using other = await createAccount({ runtimes });
      await using inner = await createAccount({ runtimes });
      for (const { home } of [account, other, inner]) await Deno.chmod(home, 0o755);
      await using workspace = await Workspace.create();
      await workspace.addHost("web1", { user: account.name, port: sshd.port });
      await workspace.addHost("db1", { user: other.name, port: sshd.port });
      await workspace.trust(sshd);
      const target = `web1,sudo=${inner.name}`;
      const exec = async (command: string, { allowed = ["db1"], stdin = "" } = {}) => {
        const options = allowed.flatMap((name) => ["--with-ssh", name]);
        const words = [...options, target, command];
        const { code, stdout, stderr } = await workspace.run("exec", words, { stdin });
        return { code, stdout, stderr };
      };

      await t.step("a command, its streams and its status", async () => {
        assertEquals(
          await exec("id -un; ssh db1 'id -un; echo err >&2; exit 7'; echo $?"),
          { code: 0, stdout: `${inner.name}\n${other.name}\n7\n`, stderr: "err\n" },
        );
        const line = "ssh -o BatchMode=yes -x -T db1 'wc -c; echo done'";
        assertEquals((await exec(line, { stdin: "x".repeat(300_000) })).stdout, "300000\ndone\n");
        const flood = "ssh db1 'head -c 5000000 /dev/zero' | wc -c; ssh -n db1 cat; echo $?";
        assertEquals((await exec(flood)).stdout, "5000000\n0\n");
        const stack = { allowed: ["db1", "web1,sudo"] };
        assertEquals((await exec("ssh web1,sudo id -un", stack)).stdout, "root\n");
        const many = "for i in 1 2 3 4 5 6 7 8; do ssh db1 echo $i & done; wait";
        const { stdout } = await exec(many);
        assertEquals(stdout.trim().split("\n").sort().join(""), "12345678");
      });

      await t.step("rsync, scp and git", async () => {
        await Deno.writeTextFile(`${inner.home}/file`, "content\n");
        const lines = [
          "mkdir -p tree; cp file tree/; seq 100000 > tree/big",
          "rsync -a tree/ db1:tree/ && rsync -a db1:tree/ back/ && diff -r tree back && echo rsync",
          "scp -qS ssh tree/big db1:copied && scp -qS ssh db1:copied again && cmp tree/big again && echo scp",
          "git init -q repo && cd repo && git -c user.name=a -c user.email=a@b commit -q " +
          "--allow-empty -m x && ssh db1 git init -q --bare repo.git && " +
          "git push -q db1:repo.git HEAD:main && git ls-remote -q db1:repo.git | wc -l",
        ];
        const { code, stdout, stderr } = await exec(lines.join("\n"));
        assertEquals([code, stdout, stderr], [0, "rsync\nscp\n1\n", ""]);
      });

      await t.step("an output that does not block gets every byte once", async () => {
        // Such as rsync hands out; read slowly, so that it is full again and again.
        const reader = `import hashlib, socket, subprocess
ours, theirs = socket.socketpair()
theirs.setblocking(False)
ssh = subprocess.Popen(["ssh", "db1", "seq 300000"], stdout=theirs)
theirs.close()
digest = hashlib.sha256()
while part := ours.recv(2000): digest.update(part)
print(digest.hexdigest(), ssh.wait())`;
        const { stdout } = await exec(
          `seq 300000 | sha256sum | cut -d' ' -f1; python3 -c '${reader}'`,
        );
        const [sent] = stdout.split("\n");
        assertEquals(stdout, `${sent}\n${sent} 0\n`);
      });

      await t.step("nothing else can be reached, and no option of its own counts", async () => {
        const refusal = (name: string) =>
          `holdfast: Cannot reach ${name} from here: it was not allowed\r\n`;
        for (const name of ["web1", "root@db1", "db1,sudo", "local", "127.0.0.1"]) {
          const { stdout, stderr } = await exec(`ssh ${name} id; echo $?`);
          assertEquals([stdout, stderr], ["255\n", refusal(name)], name);
        }
        assertEquals((await exec("ssh -l root -p 1 db1 id")).stderr, refusal("root@db1:1"));
        const marker = workspace.join("marker");
        for (const option of [`ProxyCommand=touch ${marker}`, `LocalCommand=touch ${marker}`]) {
          const command = `ssh -o '${option}' -o PermitLocalCommand=yes -F /none db1 echo on`;
          assertEquals((await exec(command)).stdout, "on\n");
        }
        assertEquals(await Deno.stat(marker).then(() => true, () => false), false);
        for (
          const words of ["-L 1:h:2 db1", "-R 1:h:2 db1 x", "-W h:1 db1", "-N db1", "-D 1 db1 x"]
        ) {
          const { code, stderr } = await exec(`ssh ${words}`);
          assertEquals(code, 255);
          assertEquals(
            stderr,
            "holdfast: only commands, shells and subsystems can be run from here\r\n",
          );
        }
      });

      await t.step("it goes with the command, and without the option there is none", async () => {
        const { stdout } = await exec("command -v ssh");
        const [path] = stdout.split("\n");
        assertMatch(path, /\/holdfast-\w+\/ssh$/);
        const isThere = () => Deno.stat(path).then(() => true, () => false);
        const without = async () => (await exec("command -v ssh", { allowed: [] })).stdout;
        const deadline = Date.now() + 5000;
        while (await isThere() && Date.now() < deadline) await without();
        assertEquals(await isThere(), false);
        assertEquals((await without()).includes("holdfast"), false);
      });

      await t.step("what speaks nonsense to the socket gets nothing", async () => {
        const line = 'd=$(dirname "$(command -v ssh)"); stat -c %a "$d" "$d/socket"; ' +
          `python3 -c 'import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); ` +
          `s.sendall(bytes([1,0,0,0,2])+b"{}"); print(s.recv(999)[5:40])' "$d/socket"; ssh db1 echo on`;
        const { stdout } = await exec(line);
        assertEquals(stdout, "700\n600\nb'holdfast: Cannot read what ssh was '\non\n");
      });
    },
  );
}
