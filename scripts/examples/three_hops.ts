/**
 * An example of Holdfast's TypeScript interface: calls functions of `three_hops_remote.ts` in contexts that lie behind
 * each other, and in all of them at once.
 *
 *     deno run -A scripts/examples/three_hops.ts [TARGET...]
 *
 * Each TARGET is a stack of hops, as for `holdfast exec`: `bastion,web1,sudo`. Default: `local,local,local`, three
 * processes of this machine, one started by the other.
 */

import { type Context, gather, openRouter, RemoteError } from "../../lib/mod.ts";

/** The types come from the file itself; the URL is what travels. */
type Remote = typeof import("./three_hops_remote.ts");
const REMOTE = new URL("./three_hops_remote.ts", import.meta.url);

await using router = await openRouter();

// Hops are opened one behind the other; what the command line holds already is shared, not opened again.
const targets = Deno.args.length > 0 ? Deno.args : ["local,local,local"];
const contexts: Context[] = [];
for (const target of targets) {
  const hops = target.split(",");
  for (const depth of hops.keys()) {
    contexts.push(await router.open(hops.slice(0, depth + 1).join(",")));
  }
}

// Scatter and gather: one call in each, told as they finish.
console.log("where:");
for await (
  const { context, value, error } of gather(
    contexts.map((context) => context.module<Remote>(REMOTE).where()),
  )
) {
  console.log(`  ${context.target}: ${error ?? `pid ${value!.pid}, ${value!.runtime}`}`);
}

// Now the last one: its calls take one round trip, however many hops there are.
const deep = contexts.at(-1)!;
const remote = deep.module<Remote>(REMOTE);

// An async iterable, which is produced no faster than it is read and ends there when it is left here.
const numbers: number[] = [];
for await (const number of await remote.primes()) {
  if (number > 30) break;
  numbers.push(number);
}
console.log(`primes: ${numbers.join(" ")}`);

// A channel brings events while a call runs. Values are more than JSON: this result is a Map of bigints.
using channel = router.channel<string>();
const factorials = remote.factorials([5, 20, 30], channel).finally(() => channel.close());
for await (const event of channel) console.log(`event: ${event}`);
console.log(`30! = ${(await factorials).get(30)}`);

// A chain is sent without waiting; what follows a failure does not run.
using chain = deep.chain();
const counter = chain.module<Remote>(REMOTE);
counter.add(1);
counter.add(2);
console.log(`counter: ${await counter.add(3)}`);
counter.refuse("this is as far as it goes");
try {
  await counter.add(1000);
} catch (error) {
  if (!(error instanceof RemoteError)) throw error;
  console.log(`stopped: ${error.name}: ${error.message}, in ${error.context}`);
}
console.log(`counter: ${await remote.add(0)}`);

// An AbortSignal reaches the function, too.
try {
  await remote.sleep(60_000, AbortSignal.timeout(50));
} catch (error) {
  console.log(`given up: ${(error as Error).name}`);
}
