/** The local user's name, for what ssh calls `%u` and where no login name is given. */

export function userHere(): string {
  return Deno.env.get("USER") || Deno.env.get("LOGNAME") || (Deno.uid() === 0 ? "root" : "unknown");
}
