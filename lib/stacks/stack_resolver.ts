/**
 * From the hops of a TARGET to the stack that is made: names of the hosts file and of the inventory are
 * replaced by what they stand for. For the daemon, before anything connects; it reads nothing by itself.
 */

import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import { nearest } from "../rendezvous/nearest.ts";
import { mergeSshOptions, type SshOptions } from "../rendezvous/ssh_options.ts";
import { formatTarget, type Hop, MAX_HOPS, type SshHop } from "../rendezvous/target.ts";
import type { Secret } from "./secret.ts";
import type { StackAlias, StackEntry, StackMachine } from "./stack_entry.ts";

/** Where names are looked up; asked only when a hop could be a name. `stack_files.ts` has the real ones. */
export interface StackSources {
  /** The hosts file, or null. */
  hosts(): Promise<NameTable | null>;
  /** The inventory, or null. Asked only for what the hosts file lacks. */
  inventory(): Promise<(NameTable & { names(): string[] }) | null>;
}

export interface NameTable {
  entry(name: string): StackEntry | undefined;
}

export interface ResolveStackOptions {
  sources: StackSources;
  /** ssh's options of the command line: all of them for the last SSH host, `-F` for every one. */
  ssh?: SshOptions;
}

/** One hop as it is to be made. */
export interface ResolvedHop {
  /** User and port of an SSH host are what `options` say; ssh_config may add what they leave open. */
  hop: Hop;
  /** What it is called: the name that was replaced, or the hop's own text. */
  name: string;
  /** For `SshResolver.resolve`, user and port included. Of a container at most `user`, the one inside. */
  options: SshOptions;
  /** From an inventory. */
  password?: Secret;
  /** Where it was defined, for people. */
  source: string;
}

/** A resolved hop whose options do not contain the TARGET's own words and the command line's yet. */
interface Draft extends ResolvedHop {
  words: SshOptions;
  /** Whose `password` is; nobody else's is it tried for. */
  owner?: string;
}

interface Place {
  /** The entries that led here, outermost first. */
  chain: readonly StackEntry[];
  /** User and port in the TARGET itself: nothing wins over them. */
  words: SshOptions;
  /** User and port in what the entries say of each other, from the outermost that says something. */
  outer: SshOptions;
  scope: StackMachine["viaScope"];
}

/**
 * Resolves the hops of a TARGET.
 *
 * - A hop `[USER@]NAME[:PORT]` is looked up in the hosts file, then in the inventory; `ssh=NAME` is not.
 * - What is in neither stays a host for ssh_config.
 * - TARGET wins over the command line, that over the entry, that over ssh_config.
 *
 * @throws {HoldfastError} `resolve`: a circle, an unknown `mitogen_via`, more than {@linkcode MAX_HOPS} hops
 */
export async function resolveStack(
  hops: readonly Hop[],
  { sources, ssh = {} }: ResolveStackOptions,
): Promise<ResolvedHop[]> {
  const drafts: Draft[] = [];
  const fail = (why: string) =>
    new HoldfastError("resolve", `Cannot resolve "${printable(formatTarget(hops))}": ${why}`);

  function push(draft: Draft): void {
    if (drafts.push(draft) > MAX_HOPS) throw fail(`it comes to more than ${MAX_HOPS} hops`);
  }

  async function expand(hop: Hop, place: Place): Promise<void> {
    const { chain, words, outer, scope } = place;
    const name = formatTarget([hop]);
    const source = chain.at(-1)?.source ?? "TARGET";
    if (hop.method !== "ssh") return push({ hop, name, source, options: {}, words: {} });
    const entry = hop.exact ? undefined : await find(hop, scope, chain);
    if (entry === undefined) return push({ hop, name, source, options: outer, words });
    const longer = [...chain, entry];
    if (chain.some(({ name, source }) => name === entry.name && source === entry.source)) {
      throw fail(`via forms a circle: ${longer.map(({ name }) => printable(name)).join(" -> ")}`);
    }
    if (chain.length === MAX_HOPS) throw fail(`more than ${MAX_HOPS} names stand for each other`);
    if (entry.kind === "alias") await expandAlias(entry, { ...place, chain: longer });
    else await expandMachine(entry, { ...place, chain: longer });
  }

  /** User and port that it is given are those of its last SSH host. */
  async function expandAlias({ name, stack }: StackAlias, place: Place): Promise<void> {
    const last = stack.findLastIndex(({ method }) => method === "ssh");
    if (last < 0 && isGiven(place)) {
      throw fail(`"${printable(name)}" is no SSH host, and only such a one has a user and a port`);
    }
    for (const [index, hop] of stack.entries()) {
      const { words, outer } = index === last ? place : { words: {}, outer: {} };
      await expand(hop, { ...place, words, outer: { ...userAndPort(hop), ...outer } });
    }
  }

  async function expandMachine(entry: StackMachine, place: Place): Promise<void> {
    const { name, source, hop, become, password } = entry;
    const { chain, words, outer, scope } = place;
    for (const before of entry.via) {
      const given = { words: {}, outer: userAndPort(before) };
      await expand(before, { chain, scope: entry.viaScope, ...given });
    }
    if (hop.method !== "ssh" && isGiven(place)) {
      const why = `is reached by ${hop.method}, which takes no user and no port`;
      throw fail(`"${printable(name)}" ${why}`);
    }
    const options = mergeSshOptions([outer, entry.options]);
    push({ hop, name, source, options, password, words, owner: entry.options.user });
    if (!become || scope === "inventory") return;
    push({ ...become, name: formatTarget([become.hop]), source, options: {}, words: {} });
  }

  async function find(
    { host }: SshHop,
    scope: Place["scope"],
    chain: Place["chain"],
  ): Promise<StackEntry | undefined> {
    if (scope === "all") {
      return (await sources.hosts())?.entry(host) ?? (await sources.inventory())?.entry(host);
    }
    const inventory = await sources.inventory();
    const entry = inventory?.entry(host);
    if (entry !== undefined) return entry;
    const near = await nearest(host, inventory?.names() ?? []);
    const of = chain.at(-1)!;
    throw fail(
      `mitogen_via of "${printable(of.name)}" names "${
        printable(host)
      }", which the inventory does not have${near ? `; did you mean "${printable(near)}"?` : ""}`,
    );
  }

  for (const hop of hops) {
    await expand(hop, { chain: [], words: userAndPort(hop), outer: {}, scope: "all" });
  }
  return finish(drafts, ssh);
}

/** Adds the command line's options, and user and port to the hops. */
function finish(drafts: Draft[], ssh: SshOptions): ResolvedHop[] {
  const last = drafts.findLastIndex(({ hop }) => hop.method === "ssh");
  return drafts.map(({ words, owner, ...draft }, index) => {
    const { hop, password, options } = draft;
    if (hop.method !== "ssh") return draft;
    const given = index === last ? ssh : { configFile: ssh.configFile };
    const all = mergeSshOptions([words, { openssh: hop.openssh }, given, options]);
    return {
      ...draft,
      hop: {
        method: "ssh",
        host: hop.host,
        ...userAndPort(all),
        ...hop.openssh && { openssh: true },
      },
      options: all,
      password: all.user === owner ? password : undefined,
    };
  });
}

/** Only what there is. */
function userAndPort(from: Hop | SshOptions): { user?: string; port?: number } {
  const { user, port } = from as { user?: string; port?: number };
  return { ...user !== undefined && { user }, ...port !== undefined && { port } };
}

function isGiven({ words, outer }: Pick<Place, "words" | "outer">): boolean {
  return Object.keys(words).length + Object.keys(outer).length > 0;
}
