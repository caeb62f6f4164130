/** Where the sources of a transfer belong on the side that receives, as `cp -a` places them. For `tree_receiver.ts`. */
import { HoldfastError } from "../core/errors.ts";
import type { FileInfo, Host } from "../core/host.ts";
import { malformed, type TreeEntry } from "./tree_format.ts";

export interface TopPlace {
  path: string;
  /** What is there already. */
  existing: FileInfo | null;
}

export interface TreePlacesOptions {
  /** With a slash at its end it has to be a directory; empty: the home. */
  destination: string;
  /**
   * The name of each source inside `destination` when that is a directory: one component; empty for the
   * directory itself; null for content without a name, whose destination may not be a directory.
   */
  names: readonly (string | null)[];
}

/** Gives each source its place, once. */
export class TreePlaces {
  readonly #host: Host;
  readonly #destination: string;
  readonly #names: readonly (string | null)[];
  readonly #seen: Set<string> = new Set();
  #inside = false;

  constructor(host: Host, { destination, names }: TreePlacesOptions) {
    this.#host = host;
    this.#destination = destination || ".";
    this.#names = names;
  }

  /** Looks at the destination; before anything else. */
  async prepare(): Promise<void> {
    const destination = this.#destination;
    const found = await orNull(this.#host.stat(destination));
    this.#inside = found?.type === "directory";
    if (this.#names.length > 1 && !this.#inside) {
      throw new HoldfastError(
        found ? "io" : "not_found",
        `Cannot copy into ${JSON.stringify(destination)}: ${found ? "not a" : "no such"} directory`,
      );
    }
  }

  async place({ name, type }: TreeEntry): Promise<TopPlace> {
    const base = this.#names[name as number];
    if (base === undefined) throw malformed();
    let path = this.#destination;
    if (this.#inside && base) path = `${path.replace(/\/+$/, "")}/${base}`;
    if (this.#seen.has(path)) {
      throw new HoldfastError(
        "io",
        `Cannot write ${JSON.stringify(path)}: two sources have its name`,
      );
    }
    this.#seen.add(path);
    if (type === "directory") return await this.#directory(path);
    const place = { path, existing: await orNull(this.#host.lstat(path)) };
    // As cp does: content goes where a link leads, a link replaces a link.
    for (let links = 0; place.existing?.type === "symlink" && type === "file"; links++) {
      const target = await this.#host.readLink(place.path);
      const from = place.path.slice(0, place.path.lastIndexOf("/") + 1);
      place.path = target.startsWith("/") ? target : from + target;
      place.existing = await orNull(this.#host.lstat(place.path));
      if (place.existing && links < 40) continue;
      throw new HoldfastError(
        "io",
        `Cannot write ${JSON.stringify(path)}: it is a link to nothing`,
      );
    }
    if (place.existing?.type === "other") throw notRegular(place.path);
    if (place.existing?.type === "directory" || path.endsWith("/")) {
      const why = place.existing ? "it is a directory" : "no such directory";
      throw new HoldfastError("io", `Cannot write ${JSON.stringify(place.path)}: ${why}`);
    }
    return place;
  }

  /** The destination itself may be a link to a directory; below it links are not followed. */
  async #directory(path: string): Promise<TopPlace> {
    const { stat, lstat } = this.#host;
    const look = this.#inside && path === this.#destination ? stat : lstat;
    path = path.replace(/(?!^)\/+$/, "");
    const existing = await orNull(look(path));
    if (existing && existing.type !== "directory") throw somethingElse(path);
    return { path, existing };
  }
}

/** Null when there is no such file. */
export async function orNull(found: Promise<FileInfo>): Promise<FileInfo | null> {
  try {
    return await found;
  } catch (error) {
    if ((error as HoldfastError).kind === "not_found") return null;
    throw error;
  }
}

export function somethingElse(path: string): HoldfastError {
  const text = `Cannot make directory ${JSON.stringify(path)}: something else has its name`;
  return new HoldfastError("io", text);
}

export function notRegular(path: string): HoldfastError {
  const text = `Cannot write ${JSON.stringify(path)}: it is a device, pipe or socket, no file`;
  return new HoldfastError("io", text);
}
