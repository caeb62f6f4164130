/** OpenSSH's own client on PATH, where this program may stand under the same name. For the drop-in and the daemon. */

/** Bytes of a script that are read to see whether it leads back here. */
const SCRIPT_HEAD = 4096;

/** The absolute path of the first `ssh` in `path`, a list as in `$PATH`, that is not this program; null when there is none. */
export function realSsh(path: string | undefined): string | null {
  const places = (path ?? "/usr/bin:/bin").split(":").filter((dir) => dir.startsWith("/"));
  return places.map((dir) => `${dir}/ssh`).find((place) => isProgram(place) && !isOurs(place)) ??
    null;
}

function isProgram(path: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && (mode! & 0o111) !== 0;
  } catch {
    return false;
  }
}

/** A link to our executable, or a script that starts us. */
function isOurs(path: string): boolean {
  const main = decodeURIComponent(new URL("../../main.ts", import.meta.url).pathname);
  try {
    if (Deno.realPathSync(path) === Deno.realPathSync(Deno.execPath())) return true;
    using file = Deno.openSync(path);
    const head = new Uint8Array(SCRIPT_HEAD);
    const text = new TextDecoder().decode(head.subarray(0, file.readSync(head) ?? 0));
    return text.startsWith("#!") && (text.includes("holdfast") || text.includes(main));
  } catch {
    return false; // One that can be run but not read is no script.
  }
}
