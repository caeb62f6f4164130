/** How to start this program again: the words that come before its arguments. Used to start the daemon. */

/** Program and arguments that run this source tree; `engineFlags` are V8's. */
export function selfCommand({ engineFlags = [] }: { engineFlags?: string[] } = {}): string[] {
  const main = new URL("../../main.ts", import.meta.url);
  const config = new URL("../../deno.json", import.meta.url);
  return [
    Deno.execPath(),
    "run",
    "--allow-all",
    "--quiet",
    ...(engineFlags.length > 0 ? [`--v8-flags=${engineFlags.join(",")}`] : []),
    `--config=${decodeURIComponent(config.pathname)}`,
    decodeURIComponent(main.pathname),
  ];
}
