/** The built file, and a user who has nothing else. */

import { build } from "../../scripts/build.ts";
import { ownTarget } from "../../scripts/build/runtime.ts";
import { assertEquals } from "./assert.ts";
import { type Outcome, Workspace } from "./holdfast.ts";
import { tempBase } from "./temp.ts";
import { findExecutable } from "./tools.ts";

/** Everything that the head of the file uses, and ssh. */
export const TOOLS = "cat chmod gzip id ls mkdir mv rm sha256sum ssh tail tar uname".split(" ");

let made: Promise<string> | undefined;

/** One file for all tests; it goes with the temporary directory of this process. */
export function builtFile(): Promise<string> {
  return made ??= (async () => {
    const path = `${await Deno.makeTempDir({ dir: tempBase() })}/hold fast's`;
    await build(path, { target: ownTarget()! });
    return path;
  })();
}

/** A user with an empty home, and programs of which Deno is none. */
export class User implements AsyncDisposable {
  readonly workspace: Workspace;
  readonly env: Record<string, string>;

  private constructor(workspace: Workspace, env: Record<string, string>) {
    this.workspace = workspace;
    this.env = env;
  }

  static async create(tools: readonly string[] = TOOLS): Promise<User> {
    const workspace = await Workspace.create();
    const PATH = workspace.join("bin");
    await Deno.mkdir(PATH);
    for (const name of tools) await Deno.symlink(findExecutable(name)!, `${PATH}/${name}`);
    const XDG_RUNTIME_DIR = workspace.join("session");
    await Deno.mkdir(XDG_RUNTIME_DIR, { mode: 0o700 });
    const { home: HOME, dir: HOLDFAST_DIR } = workspace;
    const env = { HOME, HOLDFAST_DIR, PATH, XDG_RUNTIME_DIR, SHELL: "/bin/sh", NO_COLOR: "1" };
    return new User(workspace, env);
  }

  /** Runs the file; `-F` is added where it is taken. */
  async run(
    words: string[],
    { stdin = "", path, env = {} }: {
      stdin?: string;
      path?: string;
      env?: Record<string, string>;
    } = {},
  ): Promise<Pick<Outcome, "code" | "stdout" | "stderr">> {
    const [subcommand, ...args] = words;
    await using child = new Deno.Command(path ?? await builtFile(), {
      args: this.workspace.args(subcommand, ...args),
      env: { ...this.env, ...env },
      clearEnv: true,
      cwd: this.workspace.home,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const sent = new Blob([stdin]).stream().pipeTo(child.stdin).catch(() => {});
    const { code, stdout, stderr } = await child.output();
    await sent;
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  /** Directories below the given one into which it was unpacked, whole. */
  unpacked(base: string): string[] {
    try {
      return [...Deno.readDirSync(`${base}/holdfast`)].map(({ name }) => name).filter((name) => {
        const inside = [...Deno.readDirSync(`${base}/holdfast/${name}`)].map(({ name }) => name);
        assertEquals(inside.filter((name) => name.startsWith("new.")), []);
        return inside.includes("ready");
      });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  /** How many are about to unpack it below the given directory. */
  unpacking(base: string): number {
    const names = [...Deno.readDirSync(`${base}/holdfast`)].flatMap(({ name }) =>
      [...Deno.readDirSync(`${base}/holdfast/${name}`)].map(({ name }) => name)
    );
    return names.filter((name) => name.startsWith("new.")).length;
  }

  get cache(): string {
    return `${this.env.HOME}/.cache`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workspace[Symbol.asyncDispose]();
  }
}
