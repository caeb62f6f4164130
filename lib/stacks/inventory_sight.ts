/** Which files an inventory is made of and how they stand, without reading them. For `inventory_files.ts`. */

import { dirname, join } from "node:path";
import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";

export interface Sight {
  /** Changes with every file. */
  stamp: string;
  /** Whether Ansible's answer may change while the files do not: scripts, and plugins that ask elsewhere. Reads them. */
  isVolatile(): Promise<boolean>;
}

/** Of more files than this the rest is not looked at, and an answer counts as volatile. */
const MOST_FILES = 10_000;
const MOST_LEVELS = 8;
/** Characters at a file's beginning in which a plugin is named. */
const HEAD = 16 * 1024;

interface Found {
  path: string;
  info: Deno.FileInfo;
  /** Defines hosts; others only variables. */
  isSource: boolean;
}

/** Fails with kind `resolve` when one of `paths` is not there. */
export async function lookAtInventory(paths: string[]): Promise<Sight> {
  const found: Found[] = [];
  for (const path of paths) {
    const info = await Deno.stat(path).catch((cause) => {
      const why = cause instanceof Deno.errors.NotFound
        ? "it does not exist"
        : printable(cause.message);
      const text = `Cannot read inventory "${printable(path)}": ${why}`;
      throw new HoldfastError("resolve", text, { cause });
    });
    await collect({ path, info, isSource: true }, found);
    if (info.isDirectory) continue;
    for (const name of ["group_vars", "host_vars"]) {
      await collectIfThere(join(dirname(path), name), found);
    }
  }
  await collectIfThere(join(dirname(paths[0]), "ansible.cfg"), found);
  return {
    stamp: found.map(({ path, info }) =>
      `${path} ${info.mtime?.getTime()}:${info.size}:${info.ino}`
    ).join("\n"),
    async isVolatile() {
      if (found.length >= MOST_FILES) return true;
      for (const file of found) if (file.isSource && await isDynamic(file)) return true;
      return false;
    },
  };
}

async function collectIfThere(path: string, found: Found[]): Promise<void> {
  const info = await Deno.stat(path).catch(() => null);
  if (info) await collect({ path, info, isSource: false }, found);
}

/** A directory with all that is in it, sorted; hidden names do not count, as with Ansible. */
async function collect(file: Found, found: Found[], level = 0): Promise<void> {
  if (found.length >= MOST_FILES) return;
  found.push(file);
  const { path, info, isSource } = file;
  if (!info.isDirectory || level === MOST_LEVELS) return;
  const entries = await Array.fromAsync(Deno.readDir(path)).catch(() => []);
  const names = entries.map(({ name }) => name).filter((name) => !name.startsWith(".")).sort();
  const infos = await Promise.all(
    names.map((name) => Deno.stat(join(path, name)).catch(() => null)),
  );
  for (const [index, name] of names.entries()) {
    const info = infos[index];
    if (!info) continue;
    const holdsVariables = name === "group_vars" || name === "host_vars";
    const inner = { path: join(path, name), info, isSource: isSource && !holdsVariables };
    await collect(inner, found, level + 1);
  }
}

/** A script, or the configuration of an inventory plugin. */
async function isDynamic({ path, info }: Found): Promise<boolean> {
  if (!info.isFile) return false;
  if (((info.mode ?? 0) & 0o111) !== 0) return true;
  if (!/\.ya?ml$/.test(path)) return false;
  const text = await Deno.readTextFile(path).catch(() => "");
  return /^['"]?plugin['"]?\s*:/m.test(text.slice(0, HEAD));
}
