/** What the connection methods `docker` and `podman` share: one command line, and messages of one origin. */
import type { ConnectionMethod } from "./connection_method.ts";

export function containerEngine(tool: string): ConnectionMethod {
  return {
    words: (script, { argument, user }) => [
      ...[tool, "exec", "-i"],
      ...user === undefined ? [] : ["-u", user],
      ...["--", argument!, "sh", "-c", script],
    ],
    takesUser: true,
    noun: "container",
    absent: /[Nn]o such container/,
    denied: /ermission denied/,
  };
}
