/**
 * `holdfast status`: the daemon and the connections that it holds. Starts nothing; that no daemon runs is an
 * answer like any other, with exit status 0.
 */
import { greetDaemon } from "../client/greet_daemon.ts";
import { HoldfastError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { printable } from "../core/printable.ts";
import { checkRuntimeDir, locateRuntimeDir } from "../rendezvous/runtime_dir.ts";
import { VERSION } from "../rendezvous/version.ts";
import { COMMON_OPTIONS, JSON_OPTION, type OptionTable, parseOptions } from "./options.ts";

export const usage = "holdfast status [--json]";

export const options = { ...JSON_OPTION, ...COMMON_OPTIONS } satisfies OptionTable;

/** What the daemon tells, as far as it is shown; see `daemon/daemon.ts`. */
interface Status {
  pid: number | null;
  version: string;
  /** Seconds. */
  uptime?: number;
  clients?: number;
  /** Bytes. */
  memory?: number;
  connections: Connection[];
}

interface Connection {
  id: number;
  /** The connection that it goes through. */
  above: number | null;
  target: string;
  description: string;
  state: string;
  runtime: string | null;
  /** How it stands with a runtime for one that has none. */
  provision?: string | null;
  clients: number;
  /** Seconds. */
  age: number;
  idle: number;
  /** Bytes. */
  received: number;
  sent: number;
}

export async function run(args: string[]): Promise<number> {
  const { options: given, positionals } = await parseOptions(args, options);
  if (positionals.length > 0) {
    throw new HoldfastError("usage", `Cannot read "${positionals[0]}": status takes no arguments`);
  }
  const status = await askDaemon();
  if (given.json) console.log(JSON.stringify(status));
  else if (status.pid === null) console.log("no daemon is running");
  else console.log(await report(status));
  return 0;
}

/** Resolves with the daemon's own object; with `pid` null when there is none. */
async function askDaemon(): Promise<Status> {
  const dir = locateRuntimeDir();
  const found = checkRuntimeDir(dir) ? await greetDaemon(dir) : null;
  found?.transport.close();
  if (!found) return { pid: null, version: VERSION, connections: [] };
  const { pid, version } = found.greeting.body as { pid: number; version: string };
  // Another version's daemon is not replaced by a mere question, and may not be understood.
  if (version !== VERSION) return { pid, version, connections: [] };
  const { connectDaemon } = await import("../client/session.ts");
  await using session = await connectDaemon({ start: false });
  if (!session) return { pid: null, version: VERSION, connections: [] };
  return await session.daemon("daemon", "status") as JsonObject as unknown as Status;
}

async function report(status: Status): Promise<string> {
  const facts = [`holdfast ${printable(String(status.version))}`, `pid ${status.pid}`];
  if (status.version !== VERSION) facts.push(`not this one's version (${VERSION})`);
  if (status.uptime !== undefined) facts.push(`up ${duration(status.uptime)}`);
  // One client is this one.
  if (status.clients !== undefined) facts.push(count(status.clients - 1, "client"));
  if (status.memory !== undefined) facts.push(bytes(status.memory));
  facts.push(count(status.connections.length, "connection"));
  const head = facts.join(", ");
  if (status.connections.length === 0) return head;
  const notes = status.connections.flatMap(({ target, provision }) =>
    provision ? [`${printable(target)}: ${printable(provision)}`] : []
  );
  if (notes.length > 0) notes.unshift("");
  return [head, "", table(asTree(status.connections)), ...notes].join("\n");
}

const COLUMNS: readonly {
  title: string;
  /** Numbers stand to the right. */
  right?: true;
  text(connection: Connection): string;
}[] = [
  { title: "TARGET", text: ({ target }) => target },
  { title: "AS", text: ({ description }) => description },
  { title: "STATE", text: ({ state }) => state },
  { title: "RUNTIME", text: ({ runtime }) => runtime ?? "-" },
  { title: "CLIENTS", right: true, text: ({ clients }) => String(clients) },
  { title: "AGE", right: true, text: ({ age }) => duration(age) },
  { title: "IDLE", right: true, text: ({ idle }) => duration(idle) },
  // What a hop carries is in its host's figures.
  { title: "SENT", right: true, text: ({ above, sent }) => above ? "-" : bytes(sent) },
  { title: "RECEIVED", right: true, text: ({ above, received }) => above ? "-" : bytes(received) },
];

/** Each connection below the one that it goes through, named by its own hop only. */
function asTree(connections: Connection[]): Connection[] {
  const drawn: Connection[] = [];
  const draw = (above: Connection | null, indent: string): void => {
    const children = connections.filter((each) => each.above === (above?.id ?? null));
    for (const [at, child] of children.entries()) {
      const isLast = at === children.length - 1;
      const hop = above ? child.target.slice(above.target.length + 1) : child.target;
      const branch = above ? (isLast ? "└─ " : "├─ ") : "";
      drawn.push({ ...child, target: `${indent}${branch}${hop}` });
      draw(child, above ? `${indent}${isLast ? "   " : "│  "}` : "");
    }
  };
  draw(null, "");
  return drawn;
}

function table(connections: Connection[]): string {
  const width = (text: string) => [...text].length;
  const rows = [
    COLUMNS.map(({ title }) => title),
    ...connections.map((connection) => COLUMNS.map(({ text }) => printable(text(connection)))),
  ];
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((row) => width(row[i]))));
  return rows.map((row) =>
    row.map((cell, i) => {
      const space = " ".repeat(widths[i] - width(cell));
      return COLUMNS[i].right ? space + cell : cell + space;
    }).join("  ").trimEnd()
  ).join("\n");
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** `5 s`, `12 min`, `3 h 20 min`, `2 d 4 h`. */
function duration(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${seconds} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `17 B`, `1.5 KiB`, `204 MiB`. */
function bytes(size: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; size >= 1024 && unit < units.length - 1; unit++) size /= 1024;
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}
