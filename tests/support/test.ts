/**
 * How this project registers tests: Deno's own with a leak check, and with tests that this machine
 * cannot run counted as skipped by name.
 *
 *     test("exec: passes the exit status", async () => {...});
 *     test.needs("sshd", "root")("exec: as somebody else", async () => {...});
 */

import { leakCheck } from "./leaks.ts";
import { missing, type Need } from "./needs.ts";

type Body = (context: Deno.TestContext) => void | Promise<void>;

/** Registers a test. It fails when it leaves processes, temporary directories, ops or resources. */
export function test(name: string, body: Body): void {
  Deno.test({
    name,
    fn: (context) => leakCheck(name, () => body(context)),
    sanitizeOps: true,
    sanitizeResources: true,
    sanitizeExit: true,
  });
}

/** Like {@linkcode test}, for what runs only where every one of `needs` is satisfied. */
test.needs = (...needs: Need[]): (name: string, body: Body) => void => {
  const lacking = missing(needs);
  if (lacking.length === 0) return test;
  return (name, body) =>
    Deno.test({ name: `${name} (skipped: needs ${lacking.join(", ")})`, ignore: true, fn: body });
};
