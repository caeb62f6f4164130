/**
 * `deno task bench`: measures us and our peers side by side, in turn, against an sshd of its own, and prints
 * a table. It judges nothing: the exit status is 0 unless something could not be run.
 *
 *     deno task bench [--json] [--only NAME,...] [--quick] [--size BYTES] [--full]
 *
 * `--only` takes rows by name, `--quick` does fewer runs, `--size` is the large file's (512M, 1G), and
 * `--full` reads all 10 GiB of the slow reader's output.
 */

import { binaryRows } from "./bench/binary_rows.ts";
import { callRows } from "./bench/call_rows.ts";
import { execColdRows } from "./bench/exec_cold_rows.ts";
import { execWarmRows } from "./bench/exec_warm_rows.ts";
import { memoryRows } from "./bench/memory_rows.ts";
import { formatTable, type Result, toJson } from "./bench/report.ts";
import type { Measured, Row, RowOptions } from "./bench/row.ts";
import { toolRows } from "./bench/tool_rows.ts";
import { transferRows } from "./bench/transfer_rows.ts";
import { World } from "./bench/world.ts";

const ROWS: Row[] = [
  ...execWarmRows,
  ...binaryRows,
  ...execColdRows,
  ...callRows,
  ...transferRows,
  ...toolRows,
  ...memoryRows,
];
const UNITS: Record<string, number> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

interface Options extends RowOptions {
  json: boolean;
  rows: Row[];
}

function parse(args: string[]): Options {
  const options: Options = { json: false, rows: ROWS, quick: false, size: 2 ** 30, full: false };
  for (let at = 0; at < args.length; at++) {
    const [name, attached] = args[at].split("=", 2);
    const value = () => attached ?? args[++at] ?? fail(`${name} needs a value`);
    if (name === "--json") options.json = true;
    else if (name === "--quick") options.quick = true;
    else if (name === "--full") options.full = true;
    else if (name === "--only") options.rows = value().split(",").map(rowNamed);
    else if (name === "--size") options.size = parseSize(value());
    else fail(`unknown option "${name}"`);
  }
  return options;
}

function rowNamed(name: string): Row {
  const names = ROWS.map((row) => row.name).join(", ");
  return ROWS.find((row) => row.name === name) ?? fail(`no row "${name}"; there are ${names}`);
}

function parseSize(text: string): number {
  const [, digits, unit] = /^(\d+)([KMG]?)$/.exec(text) ?? fail(`"${text}" is not a size`);
  return Number(digits) * UNITS[unit];
}

function fail(why: string): never {
  console.error(`bench: ${why}`);
  Deno.exit(2);
}

/** Resolves to the exit status. */
async function main({ json, rows, ...options }: Options): Promise<number> {
  const results: Result[] = [];
  let failed = false;
  for (const row of rows) {
    if (!json) console.error(`bench: ${row.name} ...`);
    const measured = await measure(row, options).catch((error): Measured => ({
      values: { holdfast: null },
      notes: [`failed: ${(error as Error).message}`],
      failed: true,
    }));
    // The signal's handler took the row's processes away and exits when everything is gone.
    if (ending) await new Promise(() => {});
    results.push({ row, ...measured });
    failed ||= measured.failed;
  }
  console.log(json ? JSON.stringify(results.map(toJson), null, 2) : formatTable(results));
  return failed ? 1 : 0;
}

/** In a world of its own: no connection, daemon or process of one row weighs on the next. */
async function measure(row: Row, options: RowOptions): Promise<Measured> {
  current = World.create();
  const world = await current;
  return await row.measure(world, options).finally(() => world[Symbol.asyncDispose]());
}

let current: Promise<World> | null = null;
let ending = false;

if (import.meta.main) {
  for (const [name, number] of [["SIGINT", 2], ["SIGTERM", 15], ["SIGHUP", 1]] as const) {
    Deno.addSignalListener(name, async () => {
      if (ending) return;
      ending = true;
      const end = async () => await (await current)?.[Symbol.asyncDispose]();
      await end().catch((error) => console.error(`bench: ${error.message}`));
      Deno.exit(128 + number);
    });
  }
  Deno.exit(await main(parse(Deno.args)));
}
