/** Deno's own executable for a target, from its npm package: what a built file runs on. */

/** A system that a file can be built for. */
export interface Target {
  /** Deno's npm package. */
  package: string;
  /** What Deno calls it. */
  triple: string;
  /** What `uname -s` and `uname -m` say there, as patterns of the shell. */
  system: string;
}

export const TARGETS: Readonly<Record<string, Target>> = {
  "linux-x64": {
    package: "@deno/linux-x64-glibc",
    triple: "x86_64-unknown-linux-gnu",
    system: `"Linux x86_64" | "Linux amd64"`,
  },
  "linux-arm64": {
    package: "@deno/linux-arm64-glibc",
    triple: "aarch64-unknown-linux-gnu",
    system: `"Linux aarch64" | "Linux arm64"`,
  },
  "macos-x64": {
    package: "@deno/darwin-x64",
    triple: "x86_64-apple-darwin",
    system: `"Darwin x86_64"`,
  },
  "macos-arm64": {
    package: "@deno/darwin-arm64",
    triple: "aarch64-apple-darwin",
    system: `"Darwin arm64"`,
  },
};

/** The target that this machine is, by name; undefined when it is none. */
export function ownTarget(): string | undefined {
  const arch = Deno.build.arch === "x86_64" ? "x64" : "arm64";
  const os = Deno.build.os === "darwin" ? "macos" : Deno.build.os;
  return Object.keys(TARGETS).find((name) => name === `${os}-${arch}`);
}

/** The executable of this Deno's version: our own, or npm's for another target. */
export async function runtimeFor(name: string): Promise<Uint8Array> {
  if (name === ownTarget()) return await Deno.readFile(Deno.execPath());
  const dir = await Deno.makeTempDir({ prefix: "holdfast-build-" });
  try {
    const spec = `${TARGETS[name].package}@${Deno.version.deno}`;
    const archive = (await run("npm", ["pack", "--loglevel=error", spec], dir)).trim();
    await run("tar", ["xzf", archive, "package/deno"], dir);
    return await Deno.readFile(`${dir}/package/deno`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function run(program: string, args: string[], cwd: string): Promise<string> {
  const command = new Deno.Command(program, { args, cwd, stdin: "null", stderr: "inherit" });
  const { success, stdout } = await command.output();
  if (!success) throw new Error(`Cannot get the runtime: ${program} ${args.join(" ")} failed`);
  return new TextDecoder().decode(stdout);
}
