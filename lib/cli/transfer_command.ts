/** What `put` and `fetch` share: options, the session, progress, standard input and output. */
import { makeBlocking } from "../client/make_blocking.ts";
import { connectDaemon, type SshOptions } from "../client/session.ts";
import { type ProgressLine, terminalProgress } from "../client/progress.ts";
import type { TransferOptions } from "../client/transfer.ts";
import type { ByteSink, ByteSource } from "../core/host.ts";
import { writeAll } from "../core/processes_deno.ts";
import { osError } from "../core/os_error.ts";
import { printable } from "../core/printable.ts";
import type { Router } from "../core/router.ts";
import type { OptionTable } from "./options.ts";

export const TRANSFER_OPTIONS = {
  quiet: { long: "quiet", short: "q", help: "show no progress and no warnings" },
} satisfies OptionTable;

interface TransferCommand {
  target: string;
  ssh: SshOptions;
  quiet: boolean;
}

/**
 * Opens the target, runs `transfer` and resolves with the exit status. Sockets, pipes and devices that were
 * left out are named on stderr and do not change the status, as with rsync. INT, TERM and HUP cancel: what is
 * unfinished is removed first, then the status is 128 and the signal's number.
 */
export async function withTransfer(
  { target, ssh, quiet }: TransferCommand,
  transfer: (
    session: { router: Router; context: number },
    events: Pick<TransferOptions, "signal" | "onProgress" | "onSkip">,
  ) => Promise<unknown>,
): Promise<number> {
  const controller = new AbortController();
  using caught = catchSignals(() => controller.abort());
  const { signal } = controller;
  const progress: ProgressLine | null = quiet ? null : terminalProgress();
  try {
    await using session = await connectDaemon();
    const context = await session.open({ target, ssh, purpose: "files", signal });
    await transfer({ router: session.router, context }, {
      signal,
      onProgress: (state) => progress?.update(state),
      onSkip(path) {
        progress?.clear();
        if (!quiet) {
          console.error(
            `holdfast: left out "${printable(path)}": it is no file, directory or link`,
          );
        }
      },
    });
    return 0;
  } catch (error) {
    if (caught.status > 0) return caught.status;
    throw error;
  } finally {
    progress?.clear();
  }
}

const SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;

function catchSignals(onSignal: () => void): Disposable & { status: number } {
  const caught = {
    status: 0,
    [Symbol.dispose]: () => {
      for (const [name, listener] of listeners) Deno.removeSignalListener(name, listener);
    },
  };
  const listeners = Object.entries(SIGNALS).map(([name, number]) => {
    const listener = (): void => {
      caught.status = 128 + number;
      onSignal();
    };
    Deno.addSignalListener(name as Deno.Signal, listener);
    return [name as Deno.Signal, listener] as const;
  });
  return caught;
}

/** Standard input. A read that waits when it is cancelled resolves with null; its bytes are lost. */
export function stdinSource(): ByteSource {
  let cancel!: () => void;
  const cancelled = new Promise<null>((resolve) => cancel = () => resolve(null));
  return {
    async read() {
      const buffer = new Uint8Array(64 * 1024);
      const count = await Promise.race([Deno.stdin.read(buffer), cancelled]);
      return count === null ? null : buffer.subarray(0, count);
    },
    cancel,
  };
}

/** Standard output. That its reader went away is left to `main.ts`, which knows what it means. */
export function stdoutSink(): ByteSink {
  makeBlocking();
  return {
    write: (bytes) =>
      writeAll(Deno.stdout, bytes).catch((error) => {
        if (error instanceof Deno.errors.BrokenPipe) throw error;
        throw osError("write to standard output", error);
      }),
    close: () => Promise.resolve(),
  };
}
