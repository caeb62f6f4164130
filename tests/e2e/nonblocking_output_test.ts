/** A parent that hands out pipes which do not block, as rsync does: no byte of the output is lost. */
import { assertEquals } from "../support/assert.ts";
import { Workspace } from "../support/holdfast.ts";
import { programWords } from "../support/program.ts";
import { test } from "../support/test.ts";

const SIZE = 3_000_000;

/** Starts a program with such a standard output, reads that in small sips, and prints how much came. */
const PARENT = `
import os, subprocess, sys
r, w = os.pipe()
os.set_blocking(w, False)
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=w)
os.close(w)
total = 0
while True:
    data = os.read(r, 1000)
    if not data: break
    total += len(data)
print(total, child.wait())
`;

const ways: [string, (file: string) => string[]][] = [
  ["exec", (file) => ["exec", "-n", "local", `cat '${file}'`]],
  ["fetch to standard output", (file) => ["fetch", "-q", "local", file, "-"]],
];

for (const [what, words] of ways) {
  test.needs("python3", "linux")(`non-blocking output: ${what} loses nothing`, async () => {
    await using workspace = await Workspace.create();
    const file = workspace.join("file");
    await Deno.writeFile(file, new Uint8Array(SIZE));
    const program = programWords({ home: workspace.home });
    const { stdout } = await new Deno.Command("python3", {
      args: ["-c", PARENT, ...program, ...words(file)],
      env: await workspace.env(),
      clearEnv: true,
    }).output();
    assertEquals(new TextDecoder().decode(stdout), `${SIZE} 0\n`);
  });
}
