/** The connection method `nsenter=PID`: all namespaces of a process, as their root. */
import { HoldfastError } from "../../core/errors.ts";
import type { ConnectionMethod } from "../connection_method.ts";

export const nsenter: ConnectionMethod = {
  words(script, { argument }) {
    if (!/^[1-9]\d*$/.test(argument!)) {
      throw new HoldfastError("usage", "the number of a process is wanted; write nsenter=PID");
    }
    return ["nsenter", "-t", argument!, "-a", "--", "sh", "-c", script];
  },
  noun: "process",
  absent: /\/proc.*No such|No such process/,
  denied: /ermission denied|not permitted/,
};
