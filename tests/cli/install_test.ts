/** `holdfast install` and the completions that it writes, by the shells that use them. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { builtFile, TOOLS, User } from "../support/built_file.ts";
import { holdfast } from "../support/holdfast.ts";
import { BASH_COMPLETION } from "../support/needs.ts";
import { playCommand, type Step } from "../support/terminal.ts";
import { test } from "../support/test.ts";
import { findExecutable, searchPath } from "../support/tools.ts";

const BUILT = ["linux", "gzip", "tar", "sha256sum"];
const installs = test.needs(...BUILT);
/** What a shell's start-up files use. */
const SHELL_TOOLS = [...TOOLS, "sed", "tr", "grep"];

/** Installs below the user's home, where shells look, for somebody who has two hosts in each of the files. */
async function install(user: User): Promise<string> {
  const prefix = `${user.env.HOME}/.local`;
  const { code, stderr } = await user.run(["install", "--prefix", prefix]);
  assertEquals([code, stderr], [0, ""]);
  await Deno.mkdir(`${user.env.HOME}/.config/holdfast`, { recursive: true });
  const hosts = '[hosts.table1]\nhost = "elsewhere"\n[hosts."table2"]\nstack = "a,b"\n[defaults]\n';
  await Deno.writeTextFile(`${user.env.HOME}/.config/holdfast/hosts.toml`, hosts);
  const config = "Host web1 web2 *.pattern # Host no\n  HostName elsewhere\nhost=other\n";
  await Deno.writeTextFile(user.workspace.config, config);
  await Deno.writeTextFile(`${user.env.HOME}/content`, "");
  return prefix;
}

/** A command line, and what one press of the tabulator makes of it. */
const COMPLETED: [line: string, completed: string][] = [
  ["holdfast disc", "holdfast disconnect"],
  ["holdfast exec web1,sud", "holdfast exec web1,sudo"],
  ["holdfast exec oth", "holdfast exec other"],
  ["holdfast exec ann@tabl", "holdfast exec ann@table"],
  ["holdfast exec web1,docker=box,ann@oth", "holdfast exec web1,docker=box,ann@other"],
  ["holdfast exec --pass", "holdfast exec --password-command"],
  ["holdfast put -p 22 web1 cont", "holdfast put -p 22 web1 content"],
  ["holdfast fetch web1 /remote cont", "holdfast fetch web1 /remote content"],
  ["holdfast ssh -F cont", "holdfast ssh -F content"],
  ["holdfast ssh -p 22 oth", "holdfast ssh -p 22 other"],
  ["holdfast completions f", "holdfast completions fish"],
  ["holdfast help disc", "holdfast help disconnect"],
];

/** A command line, and among what the tabulator shows must be and must not be. */
const SHOWN: [line: string, shown: string[], hidden: string[]][] = [
  ["holdfast exec we", ["web1", "web2"], ["pattern", "elsewhere"]],
  ["holdfast exec --", ["--timeout", "--json", "--leave"], ["--foreground", "--keep-going"]],
  ["holdfast daemon --", ["--idle-timeout", "--foreground"], ["--argv"]],
  ["holdfast ", ["exec", "install", "help"], ["askpass"]],
];

/** Types lines into a shell in which `holdfast` shows its arguments; its prompt is `readyN% `. */
async function typeLines(user: User, shell: string[], env: Record<string, string>) {
  const lines = [...COMPLETED, ...SHOWN];
  // What is shown ends with the same prompt again, so that it counts the lines.
  const prompt = (at: number) => `ready${at}% `;
  const typed: Step[] = lines.map(([line], at) => [
    prompt(at),
    "type",
    // Then the line as it stands is shown, in brackets.
    `${line}\t\x01show '\x05'\r`,
  ]);
  const steps: Step[] = [...typed, [prompt(lines.length), "type", "exit\r"]];
  const { shown } = await playCommand(shell, steps, {
    ...user.env,
    PATH: searchPath().join(":"),
    TERM: "xterm",
    ...env,
  });
  const answers = shown.split(/^\[\[/m).slice(1).map((text) => text.split("]]")[0]);
  for (const [at, [line, completed]] of COMPLETED.entries()) {
    assertEquals(answers[at].replace(/[ =]$/, ""), completed, `${line}\n${shown}`);
  }
  // deno-lint-ignore no-control-regex -- the shells move the cursor about
  const plain = shown.replaceAll(/\x1b\[[\d;?]*[A-Za-z]/g, "");
  const rest = plain.split("]]").slice(COMPLETED.length);
  for (const [at, [line, wanted, hidden]] of SHOWN.entries()) {
    const words = rest[at].split(/\s+/);
    for (const word of wanted) assert(words.includes(word), `${line}: ${word} in ${rest[at]}`);
    for (const word of hidden) assert(!words.includes(word), `${line}: ${word} not in ${rest[at]}`);
  }
}

for (const how of ["by the package bash-completion", "sourced"]) {
  const needs = how === "sourced" ? [] : ["bash-completion"];
  test.needs(...BUILT, ...needs, "bash", "python3")(`completions: bash, ${how}`, async () => {
    await using user = await User.create(SHELL_TOOLS);
    const prefix = await install(user);
    const script = how === "sourced"
      ? `${prefix}/share/bash-completion/completions/holdfast`
      : BASH_COMPLETION;
    const rc = user.workspace.join("bashrc");
    await Deno.writeTextFile(
      rc,
      `n=0\nPS1='ready$n% '\ncd\nbind 'set show-all-if-ambiguous on'\n` +
        `bind 'set enable-bracketed-paste off'\nbind 'set bell-style none'\n` +
        `holdfast() { :; }\nshow() { printf '\\n[[%s]]\\n' "$1"; n=$((n + 1)); }\nHISTFILE=\n. ${script}\n`,
    );
    await typeLines(user, [findExecutable("bash")!, "--noprofile", "--rcfile", rc, "-i"], {});
  });
}

test.needs(...BUILT, "zsh", "python3")("completions: zsh", async () => {
  await using user = await User.create(SHELL_TOOLS);
  const prefix = await install(user);
  const ZDOTDIR = user.workspace.join("");
  await Deno.writeTextFile(
    `${ZDOTDIR}/.zshrc`,
    `fpath=(${prefix}/share/zsh/site-functions $fpath)\nautoload -U compinit\ncompinit -u -D\n` +
      `n=0\nPS1='ready$n%% '\ncd\nunset zle_bracketed_paste\nsetopt prompt_subst no_list_ambiguous no_beep no_prompt_sp no_prompt_cr\nbindkey -e\n` +
      `LISTMAX=1000\nholdfast() { : }\nshow() { printf '\\n[[%s]]\\n' "$1"; (( n++ )) }\n`,
  );
  await typeLines(user, [findExecutable("zsh")!, "-o", "no_global_rcs", "-i"], { ZDOTDIR });
});

test.needs(...BUILT, "fish")("completions: fish", async () => {
  await using user = await User.create(SHELL_TOOLS);
  const prefix = await install(user);
  const env = { ...user.env, PATH: `${prefix}/bin:${user.env.PATH}` };
  const complete = async (line: string): Promise<string[]> => {
    const { stdout, stderr } = await new Deno.Command(findExecutable("fish")!, {
      args: ["-c", "complete -C $argv[1]", line],
      env,
      clearEnv: true,
      cwd: user.env.HOME,
    }).output();
    assertEquals(new TextDecoder().decode(stderr), "");
    return new TextDecoder().decode(stdout).split("\n").map((text) => text.split("\t")[0]);
  };
  for (const [line, completed] of COMPLETED) {
    const word = completed.split(" ").at(-1)!;
    const found = await complete(line);
    assert(found.some((text) => text.startsWith(word)), `${line}: ${word} in ${found}`);
  }
  for (const [line, wanted, hidden] of SHOWN) {
    const found = await complete(line);
    for (const word of wanted) assert(found.includes(word), `${line}: ${word} in ${found}`);
    for (const word of hidden) assert(!found.includes(word), `${line}: ${word} not in ${found}`);
  }
});

installs(
  "install: copies, links, completes, and says what is left to do; again it changes nothing",
  async () => {
    await using user = await User.create();
    const prefix = `${user.env.HOME}/.local`;
    const bin = `${prefix}/bin`;
    const first = await user.run(["install", "--ssh", "--prefix", prefix]);
    assertEquals([first.code, first.stderr], [0, ""]);
    assertMatch(first.stdout, /^wrote \S+\/bin\/holdfast \(\d+\.\d MB, verified\)\n/);
    assertStringIncludes(first.stdout, `${bin} is not on PATH; add to your shell's profile`);
    assertEquals(await Deno.readFile(`${bin}/holdfast`), await Deno.readFile(await builtFile()));
    assertEquals((await Deno.stat(`${bin}/holdfast`)).mode! & 0o777, 0o755);
    assertMatch((await user.run(["-V"], { path: `${bin}/ssh` })).stderr, /^OpenSSH_/);
    const before = await Deno.stat(`${bin}/holdfast`);
    const env = { PATH: `${bin}:${user.env.PATH}` };
    // By itself, and by the link to it.
    const again = await user.run(["install", "--ssh", "--prefix", prefix], {
      path: `${bin}/holdfast`,
      env,
    });
    assertEquals([again.code, again.stderr], [0, ""]);
    assert(!/^wrote/m.test(again.stdout), again.stdout);
    assert(!again.stdout.includes("on PATH"), again.stdout);
    assertEquals((await Deno.stat(`${bin}/holdfast`)).ino, before.ino);
    // Another ssh comes first.
    const behind = { PATH: `${user.env.PATH}:${bin}` };
    const late = await user.run(["install", "--ssh", "--prefix", prefix], { env: behind });
    assertStringIncludes(late.stdout, `PATH has ${user.env.PATH}/ssh first; move ${bin} before it`);
    const undone = await user.run(["install", "--uninstall", "--prefix", prefix]);
    assertEquals(undone.stdout.match(/^removed /mg)?.length, 5);
    assertEquals(await filesBelow(prefix), []);
    const nothing = await user.run(["install", "--uninstall", "--prefix", prefix]);
    assertEquals([nothing.code, nothing.stdout.split(":")[0]], [0, "nothing of ours is there"]);
  },
);

installs(
  "install: another program is not overwritten, nor removed, and an older one of ours is",
  async () => {
    await using user = await User.create();
    const bin = `${user.env.HOME}/.local/bin`;
    await Deno.mkdir(bin, { recursive: true });
    const run = (...options: string[]) =>
      user.run(["install", "--prefix", `${user.env.HOME}/.local`, ...options]);
    await Deno.writeTextFile(`${bin}/ssh`, "#!/bin/sh\n");
    const refused = await run("--ssh");
    assertEquals(refused.code, 255);
    assertMatch(
      refused.stderr,
      /^holdfast: Cannot install "\S+\/ssh": another file of that name is/,
    );
    assertEquals(await filesBelow(bin), ["ssh"]);
    await Deno.writeTextFile(`${bin}/holdfast`, "#!/bin/sh\n# holdfast 0.0.1 for it\n");
    assertEquals((await run()).code, 0);
    assertEquals((await run("--uninstall")).code, 0);
    assertEquals(await filesBelow(bin), ["ssh"]);
  },
);

installs(
  "install: a directory that cannot be written is named, and nothing half is left",
  async () => {
    await using user = await User.create();
    const prefix = `${user.env.HOME}/file`;
    await Deno.writeTextFile(prefix, "");
    const { code, stderr } = await user.run(["install", "--prefix", prefix]);
    assertEquals(code, 255);
    assertMatch(
      stderr,
      /^holdfast: Cannot write "\S+\/file\/bin\/holdfast": a part of the path is no/,
    );
  },
);

test("install: from the source tree it says to build first", async () => {
  const { code, stderr } = await holdfast(["install"], { env: { HOME: "/nonexistent" } });
  assertEquals([code, stderr], [
    2,
    "holdfast: Cannot install: this is the source tree; run deno task build, then dist/holdfast install\n",
  ]);
});

/** Names of all files, at any depth, sorted. */
async function filesBelow(dir: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    if (isDirectory) names.push(...await filesBelow(`${dir}/${name}`));
    else names.push(name);
  }
  return names.sort();
}
