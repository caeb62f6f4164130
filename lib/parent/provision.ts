/**
 * Gives a target a runtime: sees what it is like, sends it the built file and has it unpacked. The daemon does it for
 * hosts, and a context, with the module `provision`, for hops behind it.
 */
import type { CoreToSend } from "../core/context.ts";
import { HoldfastError } from "../core/errors.ts";
import type { ByteSink, ByteSource, ProcessHost } from "../core/host.ts";
import { printable } from "../core/printable.ts";
import { quoteWords } from "../core/quote.ts";
import { firstStage } from "./first_stage.ts";
import { type Payload, PayloadReader, targetOf } from "./payload.ts";
import { BLOCK } from "./provision_script.ts";
import { type Findings, ProvisionShell } from "./provision_shell.ts";

/**
 * Bytes of a piece, of which one at a time is under way. It grows while sending it takes less than `short` milliseconds
 * more than an answer of the target's, and shrinks when it takes more than `long`: no command waits longer behind it.
 */
const PIECE = { first: 16 * BLOCK, min: 8 * BLOCK, max: 256 * BLOCK, short: 20, long: 60 };
/** How often what an unpacked file takes must be free for it, besides the file itself. */
const ROOM = 1.1;

/** Where a target has its runtime now. */
export interface Provisioned {
  /** Absolute. */
  directory: string;
  /** Of the core that is built in; null when none is. */
  coreHash: string | null;
}

export interface ProvisionOptions {
  /** Where the built file is read. */
  host: ProcessHost;
  /** The built file for a target such as `linux-x64`. Rejects with why there is none. */
  payload: (target: string) => Promise<Payload>;
  /** Directories of the target that end with its shell. Default none. */
  fleeting?: readonly string[];
  /** Bytes that the target has of it, and all of them. */
  onProgress?: (there: number, all: number) => void;
}

/**
 * The target's shell is behind `streams` and takes lines from then on, the last of which can make it a core
 * ({@linkcode coreStart}). Rejects with why the target cannot have a runtime; nothing has been sent then but questions,
 * unless the kind is `io` or `disconnected`.
 */
export async function provision(
  streams: { stdin: ByteSink; stdout: ByteSource },
  { host, payload, fleeting = [], onProgress }: ProvisionOptions,
): Promise<Provisioned & { become: (line: string) => Promise<void> }> {
  const shell = new ProvisionShell(streams);
  const become = shell.become.bind(shell);
  const found = lasting(await shell.probe(), fleeting);
  const target = targetOf(found.system);
  const [ready] = found.ready;
  if (ready !== undefined) return { directory: ready, coreHash: await shell.core(ready), become };
  const [obstacle] = found.obstacles;
  if (target === null) throw cannot(`nothing is built for "${found.system}"`);
  if (obstacle !== undefined) throw cannot(obstacle);
  if (found.places.length === 0) throw noPlace(found.refused);
  const file = await payload(target);
  const place = await deliver(shell, {
    host,
    file,
    found,
    room: file.size + ROOM * file.unpacked,
    onProgress,
  });
  const { directory, offset } = file;
  const coreHash = await shell.unpack({ place, directory, offset });
  return { directory: `${place}/${directory}`, coreHash, become };
}

/** Puts the built file where the shell behind `streams` is, for others behind it. Resolves with its path there. */
export async function keepFile(
  streams: { stdin: ByteSink; stdout: ByteSource },
  { host, file }: { host: ProcessHost; file: Payload },
): Promise<string> {
  const shell = new ProvisionShell(streams);
  const found = await shell.probe();
  const place = await deliver(shell, { host, file, found, room: file.size });
  return `${place}/${file.directory}/holdfast`;
}

/** The line that makes the shell there a core; `builtIn`: it has that very core, and none is to be sent to it. */
export function coreStart(
  { directory, coreHash }: Provisioned,
  { core, title }: { core: CoreToSend; title: string },
): { line: string; builtIn: boolean } {
  if (coreHash === core.hash) return { line: builtInLine(directory, title), builtIn: true };
  const alsoTry = `${directory}/deno`;
  return { line: firstStage(core, { title, alsoTry }), builtIn: false };
}

function builtInLine(directory: string, title: string): string {
  const words = [`${directory}/deno`, "run", "--allow-all", "--quiet", "--no-config", "--no-lock"];
  const command = quoteWords([...words, `${directory}/bootstrap.mjs`, "bootstrap", title]);
  return `HF_D=$DENO_DIR DENO_DIR=/dev/null/d DENO_NO_UPDATE_CHECK=1 exec ${command}`;
}

function cannot(why: string): HoldfastError {
  return new HoldfastError("bootstrap", `Cannot provision: ${printable(why)}`);
}

interface Delivery {
  host: ProcessHost;
  file: Payload;
  found: Findings;
  /** Bytes that must be free, less what is there. */
  room: number;
  onProgress?: (there: number, all: number) => void;
}

/** Sends what is not there of the file, and has it verified; resolves with the place that was chosen. */
async function deliver(shell: ProvisionShell, delivery: Delivery): Promise<string> {
  const { host, file, found, room, onProgress } = delivery;
  const { digest, directory } = file;
  const name = `part-${digest}`;
  const place = choosePlace(found, { directory, name, room, size: file.size });
  if (found.kept.has(`${place}/${directory}/holdfast`)) return place;
  const part = `${place}/${name}`;
  const there = Math.min(found.parts.get(part) ?? 0, file.size);
  await send(shell, { host, file, path: part, there, onProgress });
  await shell.keep({ place, part, digest, directory });
  return place;
}

function choosePlace(
  { places, parts, kept, refused }: Findings,
  { directory, name, room, size }: { directory: string; name: string; room: number; size: number },
): string {
  const why = [...refused];
  for (const { path, free } of places) {
    const there = kept.has(`${path}/${directory}/holdfast`) ? size : parts.get(`${path}/${name}`);
    const needed = room - (there ?? 0);
    if (!(free * 1024 < needed)) return path;
    why.push(
      `${path}: it has ${Math.floor(free / 1024)} MiB free and ${mebibytes(needed)} are needed`,
    );
  }
  throw noPlace(why);
}

function noPlace(why: readonly string[]): HoldfastError {
  return cannot(`no directory takes it: ${why.join("; ")}`);
}

/** Without the places in directories that end with the shell. */
function lasting(found: Findings, fleeting: readonly string[]): Findings {
  const ends = ({ path }: { path: string }) => fleeting.some((one) => path.startsWith(`${one}/`));
  const refused = found.places.filter(ends).map(({ path }) =>
    `${path}: it would end with this hop`
  );
  return {
    ...found,
    places: found.places.filter((place) => !ends(place)),
    refused: [...found.refused, ...refused],
  };
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 1024 / 1024);
}

interface Sending {
  host: ProcessHost;
  file: Payload;
  path: string;
  /** Bytes of it that are there. */
  there: number;
  onProgress?: (there: number, all: number) => void;
}

async function send(shell: ProvisionShell, sending: Sending): Promise<void> {
  const { host, file, path, there, onProgress } = sending;
  let at = there === file.size ? there : there - there % BLOCK;
  let size = PIECE.first;
  let answer = Infinity;
  const reader = new PayloadReader(host, { path: file.path, at });
  try {
    while (at < file.size) {
      onProgress?.(at, file.size);
      const piece = Math.min(size, file.size - at);
      const began = performance.now();
      await shell.take(path, { at, size: piece, chunks: reader.take(piece) });
      const took = performance.now() - began;
      answer = Math.min(answer, took);
      at += piece;
      if (took - answer < PIECE.short) size = Math.min(size * 2, PIECE.max);
      else if (took - answer > PIECE.long) size = Math.max(size / 2, PIECE.min);
    }
  } finally {
    await reader.close(); // no `await using`: node 18 and 20 begin without it
  }
}
