/** The connection method `local` behind another hop: a further context of the same user. */
import type { ConnectionMethod } from "../connection_method.ts";

export const local: ConnectionMethod = {
  words: (script) => ["sh", "-c", script],
  plain: true,
  noun: "",
};
