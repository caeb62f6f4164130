/**
 * `exec` through every login shell, cold and warm, on a host with a core and on one without: what comes back is what
 * OpenSSH's client brings from the same host.
 */
import { assertEquals } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { testIdentity } from "../support/identity.ts";
import { Workspace } from "../support/holdfast.ts";
import { waitUntilGone } from "../support/processes.ts";
import { startSshd, type TestSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";
import { findExecutable, type Runtime } from "../support/tools.ts";

const SHELLS = ["bash", "dash", "zsh", "ksh", "tcsh", "fish"];

/** Lines that every shell understands, or refuses in words of its own. */
const LINES = [
  "echo out; echo err | cat; exit 3",
  "printf %s 'two\nlines'",
  "no-such-command-here with arguments",
  "ls /nowhere",
  "echo 'unbalanced",
  "# nothing",
];

/** What .bashrc and the environment give to the commands of a shell that sshd starts. */
const BASHRC = `shopt -s expand_aliases
alias greet='echo alias'
alias cat='echo alias of a program'
plain() { echo "function $1"; }
exported() { echo "exported function $1"; }
ls() { echo "function before a program"; }
command_not_found_handle() { echo "nothing like $1"; return 42; }
export -f exported
export HF_SET=value
`;
const BASH_LINES = [
  "greet",
  "plain x",
  "exported x",
  "ls /nowhere",
  "cat /nowhere",
  "no-such-command-here",
  "printenv HF_SET SHLVL",
  "type -t greet plain exported ls cat",
];

for (const runtime of ["deno", "none"] as const) {
  const runtimes: Runtime[] = runtime === "none" ? [] : [runtime];
  const what = runtime === "none" ? "no runtime" : runtime;

  test.needs("sshd", "ssh", "namespaces")(
    `exec: as ssh does through each login shell, on ${what}`,
    async (t) => {
      await using sshd = await startSshd();
      for (const name of SHELLS) {
        const shell = findExecutable(name);
        await t.step({
          name: shell ? name : `${name} (skipped: not installed)`,
          ignore: !shell,
          fn: () => compare(sshd, { shell: shell!, runtimes, lines: LINES }),
        });
      }
      await t.step("bash with functions and aliases", () =>
        compare(sshd, {
          shell: "/bin/bash",
          runtimes,
          lines: BASH_LINES,
          bashrc: BASHRC,
        }));
    },
  );
}

interface Comparison {
  shell: string;
  runtimes: Runtime[];
  lines: string[];
  bashrc?: string;
}

/** Every line by ssh and by us, then a signal to a whole group. */
async function compare(sshd: TestSshd, { shell, runtimes, lines, bashrc }: Comparison) {
  await using account = await createAccount({ shell, runtimes });
  await account.write(".bashrc", bashrc ?? "");
  await using workspace = await Workspace.create();
  await workspace.addHost("target", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  const { path } = await testIdentity();
  for (let i = 0; i < 2; i++) await workspace.run("exec", ["target", "true"]); // then a shell waits
  const facts = (code: number, stdout: string, stderr: string) => [code, stdout, complaint(stderr)];
  for (const line of lines) {
    const args = ["-n", "-i", path, "-F", workspace.config, "target", line];
    const ssh = await new Deno.Command("ssh", { args }).output();
    const [out, err] = [ssh.stdout, ssh.stderr].map((bytes) => new TextDecoder().decode(bytes));
    const wanted = facts(ssh.code, out, err);
    const { code, stdout, stderr } = await workspace.run("exec", ["target", "--", line]);
    assertEquals(facts(code, stdout, stderr), wanted, line);
    if (bashrc === undefined) continue;
    const cold = await workspace.run("exec", ["--env", "HF_X=1", "target", "--", line]);
    assertEquals([cold.code, cold.stdout], wanted.slice(0, 2), `${line}, with a variable`);
  }

  const sleeper = "sh -c 'echo ready; sleep 1000; exit 7'";
  await using process = await workspace.spawn("exec", ["target", sleeper]);
  const reader = process.stdout.getReader();
  await reader.read();
  process.kill("SIGTERM");
  const [{ code }] = await Promise.all([process.status, process.stderr.cancel(), reader.cancel()]);
  await process.stdin.close().catch(() => {});
  assertEquals(code, 143);
  const sleeping = () => account.processes().filter(({ command }) => command === "sleep 1000");
  assertEquals(await waitUntilGone(sleeping), []);
}

/**
 * The first line of what a shell said: fish and bash may go on and quote all that sshd gave them. A shell that waited
 * reads its line by `eval`, which dash names; and what cannot be parsed has other words then.
 */
function complaint(stderr: string): string {
  if (/unbalanced|unmatched|unexpected|unterminated/i.test(stderr)) return "syntax error";
  return stderr.split("\n")[0].replace(" eval:", "");
}
