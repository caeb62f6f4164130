/** A process in a context, as a client sees it: three streams, an exit status, signals. Used by exec and relay. */
import { HoldfastError } from "../core/errors.ts";
import type { ExitStatus, TerminalSize } from "../core/host.ts";
import type { JsonObject } from "../core/json.ts";
import type { Router } from "../core/router.ts";
import { ReceiveStream, SendStream } from "../core/stream.ts";

export interface RemoteProcessOptions {
  /** A line for the login shell, or exact words. */
  command: string | string[];
  cwd?: string;
  env?: Record<string, string>;
  /** False: its standard input is empty. */
  input: boolean;
  leave?: boolean;
  terminal?: TerminalSize & { term: string };
  /**
   * In a direct context: the login shell or a subsystem of its SSH server, in the command's place. `sftp` elsewhere: the
   * first of `programs` that is there, or the context itself.
   */
  session?: "shell" | { subsystem: string; programs?: string[] };
  /** In a direct context: lets it use our agent. */
  agent?: boolean;
  /** Gives the process up: it gets HUP, then TERM, then KILL. */
  signal?: AbortSignal;
}

export interface RemoteProcess {
  stdin: SendStream | null;
  stdout: ReceiveStream;
  stderr: ReceiveStream;
  /** Resolves when it has ended and all its output has been sent. Rejects when it could not start or was lost. */
  exit: Promise<ExitStatus>;
  /** `name` without `SIG`. */
  kill(name: string): void;
  resize(size: TerminalSize): void;
}

/** Starts it; everything is sent at once, so that the answer is one round trip away. */
export function startProcess(
  router: Router,
  context: number,
  options: RemoteProcessOptions,
): RemoteProcess {
  const { input, signal, ...rest } = options;
  const stdin = input ? SendStream.open(router, context) : null;
  const stdout = ReceiveStream.open(router, context);
  const stderr = ReceiveStream.open(router, context);
  const call = (method: string, args: JsonObject) =>
    router.call(context, { service: "process", method, args: { id: stdout.id, ...args } });
  const exit = router.call(context, {
    service: "process",
    method: "exec",
    args: {
      ...rest as unknown as JsonObject,
      stdin: stdin?.id ?? null,
      stdout: stdout.id,
      stderr: stderr.id,
    },
  }, { signal }) as Promise<unknown> as Promise<ExitStatus>;
  exit.catch((error) => {
    // Whatever the streams still wait for will not come.
    stdin?.abort(error);
    stdout.fail(error);
    stderr.fail(error);
  });
  return {
    stdin,
    stdout,
    stderr,
    exit,
    kill: (name) => void call("signal", { signal: name }).catch(() => {}),
    resize: (size) => void call("resize", { ...size }).catch(() => {}),
  };
}

/** Numbers of the signals that a process may end by, on Linux. */
const SIGNALS: Record<string, number> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  TRAP: 5,
  ABRT: 6,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  STKFLT: 16,
  XCPU: 24,
  XFSZ: 25,
  VTALRM: 26,
  PROF: 27,
  IO: 29,
  PWR: 30,
  SYS: 31,
};

/** The status to exit with: the command's own, or 128 and the number of the signal that killed it. */
export function statusOf({ code, signal }: ExitStatus): number {
  return signal === null ? code : 128 + (SIGNALS[signal.replace(/^SIG/, "")] ?? 0);
}

/** An abort signal that fires after `timeout` milliseconds, with the error that then ends the wait. */
export function deadline(target: string, timeout: number | undefined): AbortController {
  const controller = new AbortController();
  if (timeout !== undefined) {
    const text = `${target}: the command did not end within ${timeout / 1000} s and was ended`;
    const timer = setTimeout(() => controller.abort(new HoldfastError("timeout", text)), timeout);
    Deno.unrefTimer(timer);
  }
  return controller;
}
