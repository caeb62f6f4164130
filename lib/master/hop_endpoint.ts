/**
 * A hop behind a host that has no core, as an endpoint: the tool of its connection method is composed into every
 * command. Used by `daemon/hop_connection.ts`.
 */
import { HoldfastError } from "../core/errors.ts";
import type { Child, ProcessHost, SpawnOptions } from "../core/host.ts";
import { type HopToOpen, openHop } from "../parent/open_hop.ts";
import type { AskPassword } from "../parent/tool_talk.ts";
import type { SpawnUrgency } from "./direct_host.ts";
import type { DialledTransport, Endpoint } from "./endpoint.ts";
import { hopHost } from "./hop_host.ts";
import { RememberedAnswers } from "./remembered_answers.ts";

/** Methods that stay in the network of the host before them. */
const SAME_NETWORK: ReadonlySet<string> = new Set([
  ...["bwrap", "chroot", "doas", "local", "su", "sudo"],
]);

export interface HopEndpointOptions {
  hop: HopToOpen;
  /** Milliseconds that the tool may take, questions not counted. */
  deadline: number;
  /** Asks a person; what turned out to be right is not asked again. */
  ask: AskPassword;
  /** Connects from the host before it to another one, where that can. */
  dial?: (host: string, port: number) => Promise<DialledTransport>;
  signal?: AbortSignal;
}

interface OpenOptions extends SpawnUrgency {
  /** Gives the opening up; default: when the endpoint is closed. */
  signal?: AbortSignal;
}

/**
 * Opens the hop once, to see that it can be opened and who one is there. Rejects as `openHop` does.
 *
 * A process of its own for each command, instead of one shell that is held and starts them all: only so are its three
 * streams its own and clean for bytes, its status and signals the tool's to tell, and nothing is left there when the
 * connection is lost. Its price is the tool's start for every command, and that a password stays in our memory.
 */
export async function hopEndpoint(
  above: ProcessHost,
  { hop, deadline, ask, dial, signal }: HopEndpointOptions,
): Promise<Endpoint> {
  const memory = { terminal: false };
  const answers = new RememberedAnswers(ask);
  const ended = new AbortController();
  const exact = { ...hop, argument: await absoluteDirectory(above, hop) };
  const open = (line: string, { urgent, signal = ended.signal }: OpenOptions = {}) => {
    const spawn = (options: SpawnOptions) => {
      const urgent: SpawnOptions & SpawnUrgency = { ...options, urgent: true };
      return above.spawn(urgent);
    };
    const host = urgent ? { ...above, spawn } : above;
    return answers.during((ask) => openHop(host, exact, { line, deadline, ask, memory, signal }));
  };
  const { shell, home } = await whoIsThere(await open(`echo "$SHELL";echo "$HOME"`, { signal }));
  const host = hopHost({ open, shell, home });
  const closed = Promise.withResolvers<HoldfastError>();
  return {
    description: hop.label,
    host,
    startCore: (line) => open(line),
    dial: SAME_NETWORK.has(hop.method) ? dial : undefined,
    closed: closed.promise,
    close() {
      host.close();
      ended.abort();
      const text = `${hop.label}: the connection was closed`;
      closed.resolve(new HoldfastError("disconnected", text));
    },
  };
}

/** A host of which only SSH knows the home cannot say where a relative directory is: its shell does. */
async function absoluteDirectory(
  above: ProcessHost,
  { method, argument }: HopToOpen,
): Promise<string | undefined> {
  const isDirectory = method === "bwrap" || method === "chroot";
  if (!isDirectory || argument === undefined || argument.startsWith("/")) return argument;
  const home = above.home() || (await textOf(await above.spawn({ command: ["pwd"] }))).trimEnd();
  return `${home === "/" ? "" : home}/${argument}`;
}

async function whoIsThere(child: Child): Promise<{ shell: string; home: string }> {
  const [shell, home] = (await textOf(child)).split("\n");
  return { shell: shell || "/bin/sh", home: home || "/" };
}

async function textOf(child: Child): Promise<string> {
  child.stdin.close().catch(() => {});
  child.stderr.cancel();
  const decoder = new TextDecoder();
  let text = "";
  for (let bytes = await child.stdout.read(); bytes; bytes = await child.stdout.read()) {
    text += decoder.decode(bytes, { stream: true });
  }
  await child.exit;
  return text;
}
