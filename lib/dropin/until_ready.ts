/**
 * A process of ours that goes on in the background says so on its output, which whoever started it carries on until
 * then: so it keeps nobody waiting who reads the starter's output to its end. For `background.ts`, `forward_keeper.ts`.
 */

/** Ends what it says; what comes after that nobody reads. */
const READY = 0;

/** Says here what it says. Resolves with 0 when it is ready, and otherwise with its status. */
export async function untilReady(child: Deno.ChildProcess): Promise<number> {
  const ready = await Promise.all([
    relay(child.stdout, Deno.stdout),
    relay(child.stderr, Deno.stderr),
  ]);
  return ready[0] ? 0 : (await child.status).code;
}

/** Is that process, and ready. */
export function tellReady(): void {
  for (const stream of [Deno.stdout, Deno.stderr]) stream.writeSync(Uint8Array.of(READY));
}

/** Whether it was ready, rather than at its end. */
async function relay(
  source: ReadableStream<Uint8Array>,
  output: { write(bytes: Uint8Array): Promise<number> },
): Promise<boolean> {
  for await (const bytes of source) {
    const end = bytes.indexOf(READY);
    const said = end < 0 ? bytes : bytes.subarray(0, end);
    for (let at = 0; at < said.length;) at += await output.write(said.subarray(at));
    if (end >= 0) return true;
  }
  return false;
}
