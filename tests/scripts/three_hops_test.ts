/** The example program does what it says, over three hops. */

import { assertEquals, assertMatch } from "../support/assert.ts";
import { REPOSITORY, Workspace } from "../support/holdfast.ts";
import { test } from "../support/test.ts";

for (const targets of [[], ["local", "local,local"]]) {
  const what = targets.length === 0 ? "three hops of this machine" : "targets of one's own";
  test(`example three_hops: ${what}`, async () => {
    await using workspace = await Workspace.create();
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", `${REPOSITORY}/scripts/examples/three_hops.ts`, ...targets],
      cwd: "/",
      clearEnv: true,
      env: await workspace.env(),
    }).output();
    const [text, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assertEquals([code, errors], [0, ""]);
    const lines = text.trimEnd().split("\n");
    const places = lines.filter((line) => line.startsWith("  ")).map((line) => {
      assertMatch(line, /^ {2}[\w,]+: pid \d+, deno$/);
      return line.trim().split(":")[0];
    });
    assertEquals(
      places.sort(),
      targets.length === 0
        ? ["local", "local,local", "local,local,local"]
        : ["local", "local", "local,local"],
    );
    assertEquals(lines.slice(1 + places.length), [
      "primes: 2 3 5 7 11 13 17 19 23 29",
      "event: 5! has 3 digits",
      "event: 20! has 19 digits",
      "event: 30! has 33 digits",
      "30! = 265252859812191058636308480000000",
      "counter: 6",
      `stopped: RangeError: this is as far as it goes, in ${targets.at(-1) ?? "local,local,local"}`,
      "counter: 6",
      "given up: TimeoutError",
    ]);
  });
}
