/** What `three_hops.ts` calls in contexts. It travels there with everything that it imports. */

import process from "node:process";
import type { Sender } from "../../lib/mod.ts";
import { multiply } from "./three_hops_numbers.ts";

export function where(): { pid: number; runtime: string } {
  const runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
  return { pid: process.pid, runtime };
}

export async function* primes(): AsyncGenerator<number> {
  const found: number[] = [];
  for (let number = 2;; number++) {
    if (found.some((prime) => number % prime === 0)) continue;
    found.push(number);
    yield number;
  }
}

export async function factorials(
  of: number[],
  progress: Sender<string>,
): Promise<Map<number, bigint>> {
  const results = new Map<number, bigint>();
  for (const number of of) {
    results.set(number, multiply(1, number));
    await progress.send(`${number}! has ${String(results.get(number)).length} digits`);
  }
  return results;
}

let total = 0;

/** Modules keep their state for as long as their context lives. */
export function add(number: number): number {
  return total += number;
}

export function refuse(why: string): never {
  throw new RangeError(why);
}

export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
