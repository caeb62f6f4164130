/** The head of the built file where a destination is held: which words go by the system's ssh, and that odd ones do no harm. */
import { createAccount } from "../support/accounts.ts";
import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { builtFile, TOOLS, User } from "../support/built_file.ts";
import { REPOSITORY } from "../support/holdfast.ts";
import { killProcesses, readProcess } from "../support/processes.ts";
import { startSshd } from "../support/sshd.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { findExecutable } from "../support/tools.ts";

const hosts = test.needs("linux", "gzip", "tar", "sha256sum", "sshd", "ssh", "namespaces");

interface World {
  user: User;
  account: string;
  /** Runs `holdfast WORDS` as it stands; `direct`: whether the head left it to the system's ssh. */
  run(
    words: string[],
    options?: { env?: Record<string, string>; unset?: string[]; stdin?: string; shell?: string[] },
  ): Promise<{ code: number; stdout: string; stderr: string; direct: boolean }>;
}

/** `dir`: what the runtime directory is called. */
async function inWorld(use: (world: World) => Promise<void>, { dir = "run" } = {}): Promise<void> {
  await using sshd = await startSshd();
  await using account = await createAccount({ runtimes: ["deno"], shell: "/bin/sh" });
  await using user = await User.create(TOOLS.filter((name) => name !== "ssh").concat("touch"));
  const { workspace } = user;
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  // ssh tells how it was called.
  const log = workspace.join("log");
  await Deno.writeTextFile(
    `${user.env.PATH}/ssh`,
    `#!/bin/sh\nfor w; do printf '%s|' "$w"; done >>'${log}'\necho >>'${log}'\n` +
      `exec ${findExecutable("ssh")} "$@"\n`,
    { mode: 0o700 },
  );
  await Deno.mkdir(workspace.join(dir), { recursive: true, mode: 0o700 });
  const base = { ...user.env, HOLDFAST_DIR: workspace.join(dir) };
  const run: World["run"] = async (
    words,
    { env = {}, unset = [], stdin = "", shell = [] } = {},
  ) => {
    await Deno.writeTextFile(log, "");
    const all = Object.entries({ ...base, ...env }).filter(([name]) => !unset.includes(name));
    const [program, ...args] = [...shell, await builtFile(), ...words];
    await using child = new Deno.Command(program, {
      args,
      env: Object.fromEntries(all),
      clearEnv: true,
      cwd: workspace.home,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const sent = new Blob([stdin]).stream().pipeTo(child.stdin).catch(() => {});
    const { code, stdout, stderr } = await child.output();
    await sent;
    const decoder = new TextDecoder();
    const direct = /^(-S|-F\|none\|-T)\|/m.test(await Deno.readTextFile(log));
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr), direct };
  };
  try {
    const first = await run(["ssh", "-F", workspace.config, "web1", "true"]);
    assertEquals([first.code, first.stderr, first.direct], [0, "", false]);
    await use({ user, account: account.name, run });
  } finally {
    await run(["stop"]);
  }
}

hosts(
  "held ssh: the usual words go by the system's ssh, and mean the same",
  () =>
    inWorld(async ({ user, account, run }) => {
      const config = ["-F", user.workspace.config];
      const env = { SENT: "x" };
      const hostsFile = user.workspace.join("hosts.toml");
      await Deno.writeTextFile(hostsFile, "");
      const directly: string[][] = [
        ["web1", "cat; exit 7"],
        ["-T", "-q", "-n", "-x", "web1", "exit 7"],
        ["-o", "BatchMode=yes", "-oForwardAgent=no", "-o", "SendEnv=SENT", "web1", "exit 7"],
        ["web1", "printf", "'%s '", "'a  b'", '"\\$HOME"', "\\*;", "exit 7"],
      ];
      for (const words of directly) {
        const ran = await run(["ssh", ...config, ...words], { env, stdin: "in" });
        assertEquals([ran.code, ran.stderr, ran.direct], [7, "", true], words.join(" "));
        // HOLDFAST_HOSTS is a matter for the program.
        const other = await run(["ssh", ...config, ...words], {
          env: { ...env, HOLDFAST_HOSTS: hostsFile },
          stdin: "in",
        });
        assertEquals({ ...other, direct: true }, ran, words.join(" "));
        assertEquals(other.direct, false);
      }
      // Under the name that was typed, once that has been used.
      const named: [string[], boolean][] = [
        [["-l", account, "web1", "exit 6"], false],
        [["-l", account, "web1", "exit 6"], true],
        [[`${account}@web1`, "exit 6"], true],
      ];
      for (const [words, direct] of named) {
        const ran = await run(["ssh", ...config, ...words]);
        assertEquals([ran.code, ran.direct], [6, direct], words.join(" "));
      }
    }),
);

hosts("held ssh: what it is not for is the program's", () =>
  inWorld(async ({ user, run }) => {
    const { workspace } = user;
    const config = ["-F", workspace.config];
    const not: string[][] = [
      [...config, "-t", "-t", "web1", "exit 6"],
      [...config, "-a", "web1", "exit 6"],
      [...config, "-o", "ControlPath=none", "web1", "exit 6"],
      [...config, "-o", "RemoteCommand=x", "-o", "RemoteCommand=none", "web1", "exit 6"],
      [...config, "web1", "-T", "exit 6"],
      [...config, "web1", "-l", "nobody", "exit 6"],
      [...config, "--", "-oProxyCommand=touch pwned", "exit 6"],
      [...config, "-l", "../..", "web1", "exit 6"],
      [...config, "-p"],
      [...config, "-o"],
      [...config],
      [...config, "web1", ""],
      ["-F", "none", "web1", "exit 6"],
      ["-F", "/etc/../etc/passwd", "web1", "exit 6"],
      ["-F", "", "web1", "exit 6"],
    ];
    for (const words of not) {
      const ran = await run(["ssh", ...words], { stdin: "exit 5\n" });
      assertEquals(ran.direct, false, `${JSON.stringify(words)}: ${ran.stderr}`);
    }
    assertEquals((await run(["ssh", ...config, "web1", "exit 6"])).direct, true);
    // A newer file may say something else.
    await Deno.utime(workspace.config, new Date(), new Date(Date.now() + 5000));
    const newer = await run(["ssh", ...config, "web1", "exit 6"]);
    assertEquals([newer.code, newer.direct], [6, false]);
  }));

/** What no shell and no file name may be given unasked. */
const ODD = [
  ...["", " ", ".", "..", "../../socket", "web1/../web1", "web1 x", "*", "?eb1", "we'b1"],
  ...['we"b1', "$(touch pwned)", "`touch pwned`", "web1;touch pwned", "web1|touch pwned"],
  ...["~", "~root", "web1\n", "\\web1", "%h", "web1%n", "$HOME", "${HOME}", "[web"],
];

hosts(
  "held ssh: odd destinations are refused and do no harm",
  () =>
    inWorld(async ({ user, run }) => {
      const config = ["-F", user.workspace.config];
      for (const to of ODD) {
        for (const subcommand of ["ssh", "exec"]) {
          const ran = await run([subcommand, ...config, to, "exit 6"]);
          const said = `${subcommand} ${to}: ${ran.code} ${ran.stderr}`;
          assert([2, 255].includes(ran.code) && !ran.direct, said);
          assert(ran.stderr !== "" && !/not found|syntax/.test(ran.stderr), said);
        }
      }
      const names = [...Deno.readDirSync(user.workspace.home)].map(({ name }) => name);
      assert(!names.includes("pwned"));
    }),
);

for (const dir of ["it is/a dir", "it's", "100%d", "$HOME", "a`b"]) {
  hosts(`held ssh: with a runtime directory called ${dir}`, () =>
    inWorld(async ({ user, run }) => {
      const config = ["-F", user.workspace.config];
      for (const subcommand of ["ssh", "exec"]) {
        const ran = await run([subcommand, ...config, "web1", "cat; exit 7"], { stdin: "in" });
        const expected = [7, "in", "", dir === "it is/a dir"];
        assertEquals([ran.code, ran.stdout, ran.stderr, ran.direct], expected, subcommand);
      }
    }, { dir }));
}

hosts("held ssh: whatever the shell was told before", () =>
  inWorld(async ({ user, run }) => {
    const words = ["-F", user.workspace.config, "web1", "cat; exit 7"];
    const odd = { IFS: "/hw1", user: "a", to: "b", config: "c", at: "/", value: "o", command: "x" };
    const shells = [[], ["/bin/sh", "-f"], ["/bin/bash"], ["/bin/bash", "-u"]];
    for (const subcommand of ["ssh", "exec"]) {
      for (const shell of shells) {
        const ran = await run([subcommand, ...words], { stdin: "in", env: odd, shell });
        assertEquals([ran.code, ran.stdout, ran.stderr, ran.direct], [7, "in", "", true]);
      }
      const ran = await run([subcommand, ...words], { stdin: "in", unset: ["HOME", "SHELL"] });
      assertEquals([ran.code, ran.stdout, ran.stderr, ran.direct], [7, "in", "", true]);
    }
  }));

hosts(
  "held ssh: what a daemon that was killed has left is not taken for it",
  () =>
    inWorld(async ({ user, run }) => {
      const config = ["-F", user.workspace.config];
      const { pid } = JSON.parse((await run(["status", "--json"])).stdout);
      await killProcesses([readProcess(pid)!]);
      for (const direct of [false, true]) {
        const ran = await run(["ssh", ...config, "web1", "cat; exit 7"], { stdin: "in" });
        assertEquals([ran.code, ran.stdout, ran.stderr, ran.direct], [7, "in", "", direct]);
      }
    }),
);

const shells = ["sh", "bash", "busybox"].filter((name) => findExecutable(name));

test.needs("linux", "root")(
  "held ssh: a directory of somebody else's in /tmp is not ours",
  async () => {
    await using dir = await tempDir({ mode: 0o755 });
    const head = await Deno.readTextFile(`${REPOSITORY}/scripts/build/head.sh`);
    const [find] = /^find_sockets\(\) \{[^]*?^\}/m.exec(head)!;
    const script = find.replaceAll("/tmp/holdfast-", `${dir.path}/holdfast-`)
      .replace("@VERSION@", "1") + '\nfind_sockets && echo "$at $daemon" || echo none';
    assertStringIncludes(script, dir.path);
    const make = async (name: string, { uid = 0, daemon = `${Deno.pid} 1\n` } = {}) => {
      const path = dir.join(`holdfast-${name}`);
      await Deno.mkdir(`${path}/ssh`, { recursive: true });
      await Deno.writeTextFile(`${path}/ssh/daemon`, daemon);
      await Deno.symlink("/bin/true", `${path}/ssh/program`);
      for (const one of [`${path}/ssh`, path]) await Deno.chown(one, uid, uid);
      return path;
    };
    const found = async () => {
      const answers = await Promise.all(shells.map(async (shell) => {
        const args = [...shell === "busybox" ? ["sh"] : [], "-c", script];
        const { stdout } = await new Deno.Command(shell, { args, env: {}, clearEnv: true })
          .output();
        return new TextDecoder().decode(stdout).trim();
      }));
      assertEquals(new Set(answers).size, 1, answers.join(", "));
      return answers[0];
    };
    assertEquals(await found(), "none");
    // Its file for the daemon is ours, and lies where only we can read it.
    await make("12345", { uid: 12345 });
    assertEquals(await found(), "none");
    await make("zzz");
    assertEquals(await found(), "none");
    await Deno.symlink(dir.join("holdfast-zzz"), dir.join("holdfast-1"));
    assertEquals(await found(), "none");
    await Deno.remove(dir.join("holdfast-1"));
    const own = await make("0");
    assertEquals(await found(), `${own} ${Deno.pid}`);
    for (const daemon of ["", "x 1\n", `${Deno.pid} 2\n`, "999999999 1\n"]) {
      await Deno.writeTextFile(`${own}/ssh/daemon`, daemon);
      assertEquals(await found(), "none", daemon);
    }
  },
);
