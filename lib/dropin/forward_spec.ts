/** The values of `-L`, `-R`, `-D` and `-W`, as ssh reads them. For `ssh_command_line.ts` and what carries them out. */

/** A TCP address or a Unix socket. A listener's `host` is absent where none was given, `*` or empty for all. */
export type Endpoint = { host?: string; port: number } | { path: string };

export type Forward =
  | { kind: "local"; listen: Endpoint; connect: Endpoint }
  | { kind: "remote"; listen: Endpoint; connect: Endpoint }
  /** A SOCKS server here. */
  | { kind: "dynamic"; listen: Endpoint }
  /** One there. */
  | { kind: "remote-dynamic"; listen: Endpoint };

/** `-L`: `[bind:]port:host:port`, and a path in place of either side; null when it is none. */
export function readLocalForward(text: string): Forward | null {
  const fields = splitSpec(text);
  return fields && pairOf("local", fields);
}

/** `-R`: the same, or `[bind:]port` alone. */
export function readRemoteForward(text: string): Forward | null {
  const fields = splitSpec(text);
  if (!fields) return null;
  return pairOf("remote", fields) ?? aloneOf("remote-dynamic", fields, { anyPort: true });
}

/** `-D`: `[bind:]port`. */
export function readDynamicForward(text: string): Forward | null {
  const fields = splitSpec(text);
  return fields && aloneOf("dynamic", fields);
}

/** `-W`: `host:port`, or a path. */
export function readStdioForward(text: string): Endpoint | null {
  const fields = splitSpec(text);
  if (fields?.length === 1 && isPath(fields[0])) return { path: fields[0] };
  return fields?.length === 2 ? connectTo(fields) : null;
}

/** Fields between colons or slashes; an address in brackets is one field, and so is a path. */
function splitSpec(text: string): string[] | null {
  const fields: string[] = [];
  let rest = text;
  for (;;) {
    const match = /^\[([^\]]*)\](?=:|$)/.exec(rest) ?? /^((?:\\.|[^:])*)/.exec(rest)!;
    fields.push(match[1]);
    rest = rest.slice(match[0].length);
    if (rest === "") break;
    rest = rest.slice(1);
  }
  return fields.length <= 4 && fields.some((field) => field !== "") ? fields : null;
}

function pairOf(kind: "local" | "remote", fields: string[]): Forward | null {
  for (const size of [1, 2]) {
    const listen = listenOn(fields.slice(0, size), { anyPort: kind === "remote" });
    const connect = connectTo(fields.slice(size));
    if (listen && connect) return { kind, listen, connect };
  }
  return null;
}

function aloneOf(
  kind: "dynamic" | "remote-dynamic",
  fields: string[],
  { anyPort = false } = {},
): Forward | null {
  const listen = listenOn(fields, { anyPort });
  return listen && (kind === "remote-dynamic" || "port" in listen) ? { kind, listen } : null;
}

/** `anyPort`: port 0 lets the other side choose. */
function listenOn(fields: string[], { anyPort }: { anyPort: boolean }): Endpoint | null {
  if (fields.length === 1 && isPath(fields[0])) return { path: fields[0] };
  const port = portOf(fields.at(-1), { anyPort });
  if (port === null || fields.length > 2) return null;
  return fields.length === 1 ? { port } : { host: fields[0], port };
}

function connectTo(fields: string[]): Endpoint | null {
  if (fields.length === 1) return isPath(fields[0]) ? { path: fields[0] } : null;
  const port = portOf(fields[1], { anyPort: false });
  return fields.length === 2 && fields[0] !== "" && port !== null
    ? { host: fields[0], port }
    : null;
}

function portOf(text: string | undefined, { anyPort }: { anyPort: boolean }): number | null {
  const port = Number(text);
  return /^\d{1,5}$/.test(text ?? "") && port <= 65535 && (port > 0 || anyPort) ? port : null;
}

function isPath(field: string): boolean {
  return field.startsWith("/");
}
