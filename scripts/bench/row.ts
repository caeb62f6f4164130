/** What a row of the bench is, and how contestants are measured in turn. Used by every `*_row.ts`. */

import type { World } from "./world.ts";

/** `holdfast` is us; every other key is a peer. */
export type Values = Record<string, number | null>;

/** One way to do the job of a row. */
export interface Contestant {
  /** Prepares one run; not timed. */
  before?(): Promise<unknown>;
  /** Does it once and resolves with the figure, in the row's unit. */
  run(): Promise<number>;
}

/** Contestants by name. Text stands for one that cannot take part here and says why. */
export type Contestants = Record<string, Contestant | string>;

/** What a row found out. */
export interface Measured {
  values: Values;
  /** Why a value is null, how the figures are to be read. */
  notes: string[];
  /** Something was there but did not run. */
  failed: boolean;
}

/** What must hold, ours over `peer`'s value; without a peer, our value itself. */
export interface Target {
  peer?: string;
  atMost?: number;
  atLeast?: number;
}

export interface RowOptions {
  /** Fewer runs. */
  quick: boolean;
  /** Bytes of the large file. */
  size: number;
  /** Read the slow reader's output to its end. */
  full: boolean;
}

export interface Row {
  name: string;
  unit: "ms" | "MB/s" | "MB" | "B";
  /** The first peer named here is the one of `ratio`. None: the row only informs. */
  targets: Target[];
  /** The peer of `ratio` where there is no target. */
  comparedTo?: string;
  measure(world: World, options: RowOptions): Promise<Measured>;
}

/**
 * Runs the contestants in turn, A B C A B C ..., and takes the median of each. The first `warmups` rounds
 * do not count. One that fails is left out from then on, and the row is marked.
 */
export async function alternate(
  contestants: Contestants,
  { runs, warmups = 1 }: { runs: number; warmups?: number },
): Promise<Measured> {
  const measured: Measured = { values: {}, notes: [], failed: false };
  const figures = new Map<string, number[]>();
  for (const [name, contestant] of Object.entries(contestants)) {
    measured.values[name] = null;
    if (typeof contestant === "string") measured.notes.push(`${name}: ${contestant}`);
    else figures.set(name, []);
  }
  for (let round = -warmups; round < runs; round++) {
    for (const name of [...figures.keys()]) {
      const contestant = contestants[name] as Contestant;
      try {
        await contestant.before?.();
        const figure = await contestant.run();
        if (round >= 0) figures.get(name)!.push(figure);
      } catch (error) {
        figures.delete(name);
        measured.notes.push(`${name}: failed: ${(error as Error).message}`);
        measured.failed = true;
      }
    }
  }
  for (const [name, list] of figures) measured.values[name] = median(list);
  return measured;
}

export function median(figures: number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Ours over the compared peer's value, or null when one of them is missing. */
export function ratioOf(row: Row, values: Values): number | null {
  const peer = row.targets.find((target) => target.peer)?.peer ?? row.comparedTo;
  return peer === undefined ? null : quotient(values.holdfast, values[peer]);
}

/** Whether a target is met; null when it cannot be told. */
export function isMet(target: Target, values: Values): boolean | null {
  const value = target.peer === undefined
    ? values.holdfast
    : quotient(values.holdfast, values[target.peer]);
  if (value === null) return null;
  return value <= (target.atMost ?? Infinity) && value >= (target.atLeast ?? -Infinity);
}

function quotient(ours: number | null, theirs: number | null | undefined): number | null {
  return ours === null || !theirs ? null : ours / theirs;
}
