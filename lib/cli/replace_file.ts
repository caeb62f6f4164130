/** Writes a whole file of the user's: at every moment there is the old one or the new one. For `install` and `setup`. */

import { HoldfastError } from "../core/errors.ts";
import { osError } from "../core/os_error.ts";
import { temporaryBeside } from "../files/temporary.ts";

/**
 * False when it had that content before, which leaves it alone. Its directory is made if it is missing. `mode` are its
 * permission bits; `owner` is given it where it is not ours.
 *
 * @throws {HoldfastError} when it cannot be written
 */
export async function replaceFile(
  path: string,
  content: Uint8Array,
  { mode, owner }: { mode: number; owner?: { uid: number | null; gid: number | null } },
): Promise<boolean> {
  if (equal(await Deno.readFile(path).catch(() => null), content)) return false;
  const temporary = temporaryBeside(path);
  try {
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")) || "/", { recursive: true });
    {
      using file = await Deno.open(temporary, { write: true, createNew: true, mode: 0o600 });
      if (owner && owner.uid !== Deno.uid()) await Deno.chown(temporary, owner.uid, owner.gid);
      await Deno.chmod(temporary, mode);
      let at = 0;
      while (at < content.length) at += await file.write(content.subarray(at));
      await file.sync();
    }
    if (!equal(await Deno.readFile(temporary), content)) {
      throw new HoldfastError("corrupt", `Cannot write "${path}": it reads back as something else`);
    }
    await Deno.rename(temporary, path);
    return true;
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw osError(`write "${path}"`, error);
  }
}

function equal(a: Uint8Array | null, b: Uint8Array): boolean {
  return a?.length === b.length && a.every((byte, at) => byte === b[at]);
}
