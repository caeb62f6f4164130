/**
 * A running Podman container of busybox, with the JavaScript runtimes that a test wants it to have. Needs
 * `test.needs("root", "podman", "runc", "busybox")`, a busybox without libraries, as Debian's busybox-static.
 */

import { tempDir } from "./temp.ts";
import { findExecutable, type Runtime, sharedRuntime } from "./tools.ts";

export interface ContainerOptions {
  /** Runtimes on its PATH. They need the machine's libraries, which it then sees. Default none. */
  runtimes?: Runtime[];
  /** Give it the machine's libraries all the same. Default only with runtimes. */
  libraries?: boolean;
  /** Programs of busybox besides the few that a shell needs. */
  applets?: string[];
  /** Lines of its /etc/passwd. Default root with /bin/sh. */
  passwd?: string[];
}

/** Disposal removes it with its image and whatever runs in it. */
export interface Container extends AsyncDisposable {
  readonly name: string;
  /** Runs a command inside and returns what it prints. */
  run(...command: string[]): Promise<string>;
  /** Stops it, and keeps it. */
  stop(): Promise<void>;
}

const APPLETS = ["sh", "cat", "env", "id", "echo", "grep", "sleep", "ps", "stty"];
/** What podman wants where there is neither systemd nor a way to raise limits. */
const ENGINE = ["--runtime", "runc", "--cgroup-manager", "cgroupfs"];
const LIMITS = [
  "--network",
  "none",
  "--ulimit",
  "nofile=10000:10000",
  "--ulimit",
  "nproc=1000:1000",
];

export async function startContainer(options: ContainerOptions = {}): Promise<Container> {
  const {
    runtimes = [],
    libraries = runtimes.length > 0,
    applets = [],
    passwd = ["root:x:0:0:root:/root:/bin/sh"],
  } = options;
  const name = `hf-${crypto.randomUUID().slice(0, 8)}`;
  await using root = await tempDir();
  for (const directory of ["bin", "etc", "root", "tmp"]) await Deno.mkdir(root.join(directory));
  await Deno.copyFile(findExecutable("busybox")!, root.join("bin/busybox"));
  for (const applet of [...APPLETS, ...applets]) {
    await Deno.symlink("busybox", root.join(`bin/${applet}`));
  }
  await Deno.writeTextFile(root.join("etc/passwd"), passwd.join("\n") + "\n");
  await Deno.writeTextFile(root.join("root/.profile"), "echo noise\n");
  const image = `localhost/${name}`;
  await run("sh", "-c", 'tar -C "$0" -c . | podman import - "$1"', root.path, image);
  const mounts = runtimes.map((runtime) => `${sharedRuntime(runtime)}:/bin/${runtime}:ro`);
  if (libraries) mounts.push("/lib:/lib:ro", "/lib64:/lib64:ro", "/usr/lib:/usr/lib:ro");
  const volumes = mounts.flatMap((mount) => ["-v", mount]);
  const container: Container = {
    name,
    run: (...command) => run("podman", "exec", name, ...command),
    stop: async () => void await run("podman", ...ENGINE, "stop", "-t", "0", name),
    async [Symbol.asyncDispose]() {
      await run("podman", ...ENGINE, "rm", "-f", "-i", "-t", "0", name);
      await run("podman", "rmi", "-f", image);
    },
  };
  try {
    const command = [...LIMITS, ...volumes, image, "/bin/sleep", "100000"];
    await run("podman", ...ENGINE, "run", "-d", "--name", name, ...command);
  } catch (error) {
    await container[Symbol.asyncDispose]();
    throw error;
  }
  return container;
}

async function run(program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args, stdin: "null" })
    .output();
  const [text, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`Cannot run ${program} ${args.join(" ")}: ${errors}`);
  return text;
}
