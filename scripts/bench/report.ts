/** The bench's results as a table for people. */

import { isMet, ratioOf, type Row, type Target, type Values } from "./row.ts";

export interface Result {
  row: Row;
  values: Values;
  notes: string[];
}

/** Aligned text: one line per row, its notes below the table. */
export function formatTable(results: Result[]): string {
  const lines = [["", "unit", "ours", "peers", "ratio", "target", "met"]];
  for (const { row, values } of results) {
    const peers = Object.entries(values).filter(([name]) => name !== "holdfast");
    lines.push([
      row.name,
      row.unit,
      figure(values.holdfast),
      peers.map(([name, value]) => `${name} ${figure(value)}`).join(", "),
      ratioOf(row, values)?.toFixed(2) ?? "",
      row.targets.map(describe).join(", "),
      row.targets.map((target) => word(isMet(target, values))).join(", "),
    ]);
  }
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const table = lines.map((line) =>
    line.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd()
  );
  const notes = results.flatMap(({ row, notes }) => notes.map((note) => `${row.name}: ${note}`));
  return [...table, ...notes.length > 0 ? ["", ...notes] : []].join("\n");
}

/** The result as `--json` prints it; `ratio` is ours over the peer of the first target. */
export function toJson({ row, values, notes }: Result) {
  const { holdfast: ours, ...peers } = values;
  const { name, unit, targets } = row;
  const met = targets.map((target) => isMet(target, values));
  return { name, unit, ours, peers, ratio: ratioOf(row, values), targets, met, notes };
}

function figure(value: number | null): string {
  if (value === null) return "none";
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function describe({ peer, atMost, atLeast }: Target): string {
  const bound = atMost !== undefined ? `<= ${short(atMost)}` : `>= ${short(atLeast!)}`;
  return peer === undefined ? bound : `${bound} of ${peer}`;
}

function short(number: number): string {
  return String(Number(number.toFixed(2)));
}

function word(met: boolean | null): string {
  return met === null ? "unknown" : met ? "yes" : "no";
}
