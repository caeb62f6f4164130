/** `holdfast setup ssh-config`: make plain ssh, and what calls it, use held connections for chosen hosts; or undo that. */
import { HoldfastError } from "../core/errors.ts";
import { attempt } from "../core/os_error.ts";
import { printable } from "../core/printable.ts";
import { launchedFile } from "../rendezvous/build_info.ts";
import { controlPathPattern } from "../rendezvous/control_path.ts";
import { locateRuntimeDir } from "../rendezvous/runtime_dir.ts";
import { selfCommand } from "../rendezvous/self_command.ts";
import { COMMON_OPTIONS, type OptionTable, parseOptions, word } from "./options.ts";
import { replaceFile } from "./replace_file.ts";
import {
  daemonControl,
  hostsInBlock,
  ownControl,
  sshConfigBlock,
  withBlock,
} from "./ssh_config_block.ts";

export const usage = "holdfast setup ssh-config [options] HOST...";

export const options = {
  write: { long: "write", help: "add the lines to the file instead of printing them" },
  remove: { long: "remove", help: "remove these hosts from it, or without HOST all" },
  configFile: {
    short: "F",
    value: "FILE",
    parse: word,
    help: "the file (~/.ssh/config)",
  },
  ...COMMON_OPTIONS,
} satisfies OptionTable;

export async function run(args: string[]): Promise<number> {
  const { options: given, positionals } = await parseOptions(args, options);
  const [what, ...hosts] = positionals;
  if (what !== "ssh-config") {
    throw new HoldfastError("usage", `Cannot set up: write what; usage: ${usage}`);
  }
  if (hosts.length === 0 && !given.remove) {
    throw new HoldfastError("usage", `Cannot set up: HOST is missing; usage: ${usage}`);
  }
  hosts.forEach(checkName);
  const file = given.configFile === undefined ? undefined : absolute(given.configFile);
  const ways = {
    program: [...await program(), "ssh", ...file === undefined ? [] : ["-F", file]],
    control: Deno.build.os === "linux"
      ? daemonControl(controlPathPattern(locateRuntimeDir()))
      : ownControl(file === undefined ? "~/.ssh" : file.slice(0, file.lastIndexOf("/"))),
  };
  if (!given.write && !given.remove) {
    console.log(sshConfigBlock(hosts, ways).trimEnd());
    return 0;
  }
  const path = file ?? `${home()}/.ssh/config`;
  const { text, real, mode, owner } = await readConfig(path);
  const before = hostsInBlock(text);
  const after = given.remove
    ? (hosts.length === 0 ? [] : before.filter((host) => !hosts.includes(host)))
    : [...new Set([...before, ...hosts])];
  const block = after.length === 0 ? "" : sshConfigBlock(after, ways);
  const content = new TextEncoder().encode(withBlock(text, block));
  const changed = (before.length > 0 || after.length > 0) &&
    await replaceFile(real, content, { mode, owner });
  const state = after.length === 0 ? "for no host" : `for ${after.join(", ")}`;
  console.log(`${printable(path)}: ${changed ? "now" : "as before,"} ${state}`);
  return 0;
}

/** A host as it is typed after ssh; nothing in it means more to ssh_config or a shell. */
function checkName(host: string): void {
  if (/^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(host)) return;
  throw new HoldfastError(
    "usage",
    `Cannot set up host "${
      printable(host)
    }": it must be a name as it is typed after ssh, without user and port`,
  );
}

/** The words that start this program, also from another directory. */
async function program(): Promise<string[]> {
  const file = launchedFile();
  if (file !== undefined) return [file.startsWith("/") ? file : await Deno.realPath(file)];
  return selfCommand("ssh").slice(0, -1);
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}

async function readConfig(path: string) {
  try {
    const real = await Deno.realPath(path);
    const { mode, uid, gid } = await Deno.stat(real);
    const text = await Deno.readTextFile(real);
    return { text, real, mode: mode! & 0o777, owner: { uid, gid } };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      return await attempt(`read "${path}"`, () => Promise.reject(error));
    }
  }
  const dir = path.slice(0, path.lastIndexOf("/"));
  if (dir !== "") await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
  return { text: "", real: path, mode: 0o600, owner: undefined };
}

function home(): string {
  const path = Deno.env.get("HOME");
  if (path?.startsWith("/")) return path;
  throw new HoldfastError("usage", "Cannot find ~/.ssh/config: HOME is not set; write -F FILE");
}
