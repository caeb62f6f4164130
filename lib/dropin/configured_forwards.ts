/** LocalForward, RemoteForward and DynamicForward of ssh_config, as `ssh -G` prints them. Pure; for `session_plan.ts`. */
import {
  type Forward,
  readDynamicForward,
  readLocalForward,
  readRemoteForward,
} from "./forward_spec.ts";

const READERS = {
  localforward: readLocalForward,
  remoteforward: readRemoteForward,
  dynamicforward: readDynamicForward,
} as const;

export const FORWARD_KEYWORDS = Object.keys(READERS) as (keyof typeof READERS)[];

/** Those that `keywords` (in lower case) hold; what makes no sense is left out. */
export function configuredForwards(
  keywords: Readonly<Record<string, readonly string[]>>,
): Forward[] {
  const local = (keywords.localforward ?? []).map((text) => text.split(" "));
  return FORWARD_KEYWORDS.flatMap((keyword) =>
    (keywords[keyword] ?? []).flatMap((text) => {
      // OpenSSH prints a local forward to a Unix socket a second time, as if it were a dynamic one.
      const isEcho = keyword === "dynamicforward" &&
        local.some(([listen, connect]) => listen === text && connect?.startsWith("/"));
      // A path may contain blanks; what it is connected to rarely does.
      const at = text.lastIndexOf(" ");
      const spec = at < 0 ? text : `${text.slice(0, at)}:${text.slice(at + 1)}`;
      const forward = isEcho ? null : READERS[keyword](spec.replace(/:\[socks\]:0$/, ""));
      return forward ? [forward] : [];
    })
  );
}
