/** `holdfast install`: put the built file on PATH, with completions and on request a link named ssh; or undo that. */
import { HoldfastError } from "../core/errors.ts";
import { attempt } from "../core/os_error.ts";
import { printable } from "../core/printable.ts";
import { completionScript, type Shell, SHELLS } from "./completions.ts";
import { COMMON_OPTIONS, type OptionTable, parseOptions, word } from "./options.ts";
import { isProgram, ownProgram, readProgram } from "./program_file.ts";
import { replaceFile } from "./replace_file.ts";

export const usage = "holdfast install [options]";

export const options = {
  prefix: {
    long: "prefix",
    value: "DIR",
    parse: word,
    help: "install below it, in bin and share (~/.local, for root /usr/local)",
  },
  ssh: { long: "ssh", help: "add a link named ssh, which takes ssh's command line" },
  uninstall: { long: "uninstall", help: "remove what install put there" },
  ...COMMON_OPTIONS,
} satisfies OptionTable;

/** Where everything goes. */
interface Places {
  bin: string;
  program: string;
  link: string;
  completions: Record<Shell, string>;
}

export async function run(args: string[]): Promise<number> {
  const { options: given, positionals } = await parseOptions(args, options);
  if (positionals.length > 0) {
    throw new HoldfastError("usage", `Cannot read "${positionals[0]}": install takes no arguments`);
  }
  const places = placesBelow(given.prefix);
  if (given.uninstall) await uninstall(places);
  else await install(places, { withSsh: given.ssh });
  return 0;
}

function placesBelow(prefix: string | undefined): Places {
  const home = Deno.env.get("HOME");
  if (prefix === undefined && Deno.uid() !== 0 && !home?.startsWith("/")) {
    throw new HoldfastError("usage", "Cannot install: HOME is not set; write --prefix DIR");
  }
  const base = prefix === undefined
    ? (Deno.uid() === 0 ? "/usr/local" : `${home}/.local`)
    : (prefix.startsWith("/") ? prefix : `${Deno.cwd()}/${prefix}`).replace(/(?<=.)\/+$/, "");
  const bin = `${base}/bin`;
  const share = `${base}/share`;
  return {
    bin,
    program: `${bin}/holdfast`,
    link: `${bin}/ssh`,
    completions: {
      bash: `${share}/bash-completion/completions/holdfast`,
      zsh: `${share}/zsh/site-functions/_holdfast`,
      fish: `${share}/fish/vendor_completions.d/holdfast.fish`,
    },
  };
}

async function install(places: Places, { withSsh }: { withSsh: boolean }): Promise<void> {
  const { program, link, completions } = places;
  const content = await readProgram(await ownProgram());
  for (const [path, wanted] of [[program, true], [link, withSsh]] as const) {
    if (!wanted || !await exists(path) || await isProgram(path)) continue;
    throw new HoldfastError(
      "refused",
      `Cannot install "${path}": another file of that name is there; remove it, or write --prefix DIR`,
    );
  }
  const megabytes = `${(content.length / 1e6).toFixed(1)} MB, verified`;
  tell(await replaceFile(program, content, { mode: 0o755 }), `${program} (${megabytes})`);
  if (withSsh) tell(await replaceLink(link), `${link}, a link to holdfast`);
  for (const shell of SHELLS) {
    const script = new TextEncoder().encode(await completionScript(shell));
    const path = completions[shell];
    tell(await replaceFile(path, script, { mode: 0o644 }), `${path}, completions for ${shell}`);
  }
  for (const text of advice(places, { withSsh })) console.log(text);
}

async function uninstall({ program, link, completions }: Places): Promise<void> {
  const removed: string[] = [];
  // The link first: it is recognised by what it leads to.
  for (const path of [link, program]) {
    if (await isProgram(path) && (path === program || await isLink(path))) removed.push(path);
  }
  for (const path of Object.values(completions)) if (await exists(path)) removed.push(path);
  for (const path of removed) {
    await attempt(`remove "${path}"`, () => Deno.remove(path));
    console.log(`removed ${printable(path)}`);
  }
  if (removed.length === 0) console.log(`nothing of ours is there: ${printable(program)}`);
}

/** What the user has left to do. */
function advice({ bin, completions }: Places, { withSsh }: { withSsh: boolean }): string[] {
  const lines: string[] = [];
  const path = (Deno.env.get("PATH") ?? "").split(":");
  const first = (name: string) => path.map((dir) => `${dir}/${name}`).find(isExecutable);
  if (!path.some((dir) => isSame(dir, bin))) {
    lines.push(`${bin} is not on PATH; add to your shell's profile: export PATH="${bin}:$PATH"`);
  } else {
    for (const name of ["holdfast", ...withSsh ? ["ssh"] : []]) {
      const found = first(name);
      if (found !== undefined && !isSame(found, `${bin}/${name}`)) {
        lines.push(`PATH has ${found} first; move ${bin} before it`);
      }
    }
  }
  const functions = completions.zsh.slice(0, completions.zsh.lastIndexOf("/"));
  if (bin !== "/usr/local/bin") {
    lines.push(
      `zsh finds its completions with this in ~/.zshrc, before compinit: fpath=(${functions} $fpath)`,
    );
  }
  return lines.map((line) => printable(line));
}

function tell(changed: boolean, what: string): void {
  console.log(`${changed ? "wrote" : "is there already:"} ${printable(what)}`);
}

/** False when it is there. */
async function replaceLink(path: string): Promise<boolean> {
  if (await isLink(path) && await Deno.readLink(path) === "holdfast") return false;
  await attempt(`make the link "${path}"`, async () => {
    await Deno.remove(path).catch(() => {});
    await Deno.symlink("holdfast", path);
  });
  return true;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

async function isLink(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(({ isSymlink }) => isSymlink, () => false);
}

function isExecutable(path: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && (mode! & 0o111) !== 0;
  } catch {
    return false;
  }
}

/** Whether two paths are of one file or directory. */
function isSame(a: string, b: string): boolean {
  try {
    return Deno.realPathSync(a) === Deno.realPathSync(b);
  } catch {
    return false;
  }
}
