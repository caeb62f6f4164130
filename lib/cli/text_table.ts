/** A table for people, with its titles as the first row. For subcommands that answer with one. */
import { printable } from "../core/printable.ts";

/** Columns two spaces apart; what could drive a terminal is made visible. */
export function textTable(rows: readonly string[][]): string {
  const cells = rows.map((row) => row.map((text) => printable(text)));
  const widths = cells[0].map((_, column) =>
    Math.max(...cells.map((row) => [...row[column]].length))
  );
  return cells.map((row) =>
    row.map((text, column) => text + " ".repeat(widths[column] - [...text].length)).join("  ")
      .trimEnd()
  ).join("\n");
}
