/** A shell in a context below, with its streams: what `give_file.ts` and the daemon's `remove_provisioned.ts` talk to. */
import type { Router } from "../core/router.ts";
import { ReceiveStream, SendStream } from "../core/stream.ts";

/** Runs a script there and hands its streams to `use`; the shell's input ends when that has settled. */
export async function withScript<T>(
  { router, to, script }: { router: Router; to: number; script: string },
  use: (streams: { stdin: SendStream; stdout: ReceiveStream }) => Promise<T>,
): Promise<T> {
  const stdin = SendStream.open(router, to);
  const stdout = ReceiveStream.open(router, to);
  const stderr = ReceiveStream.open(router, to);
  const args = {
    command: ["sh", "-c", script],
    stdin: stdin.id,
    stdout: stdout.id,
    stderr: stderr.id,
  };
  const exit = router.call(to, { service: "process", method: "exec", args });
  exit.catch((error) => {
    // Whatever the streams still wait for will not come.
    stdin.abort(error);
    stdout.fail(error);
    stderr.fail(error);
  });
  void (async () => {
    while (await stderr.read());
  })().catch(() => {});
  try {
    return await use({ stdin, stdout });
  } finally {
    stdin.close().catch(() => {});
    stdout.cancel();
    await exit.catch(() => {});
  }
}
