/** How to start this program again: the words that come before its arguments. Used to start the daemon. */

/** Program and arguments, for the source tree (`deno run`) as for a compiled executable. */
export function selfCommand(): string[] {
  const main = new URL("../../main.ts", import.meta.url);
  const config = new URL("../../deno.json", import.meta.url);
  return [
    Deno.execPath(),
    "run",
    "--allow-all",
    "--quiet",
    `--config=${decodeURIComponent(config.pathname)}`,
    decodeURIComponent(main.pathname),
  ];
}
