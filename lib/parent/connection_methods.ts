/** The table of connection methods by the name that a TARGET uses; `open_hop.ts` looks here. */
import type { ConnectionMethod } from "./connection_method.ts";
import { local } from "./methods/local.ts";
import { sudo } from "./methods/sudo.ts";

export const CONNECTION_METHODS: Record<string, ConnectionMethod> = { local, sudo };
