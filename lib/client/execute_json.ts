/** Carries out one command for `holdfast exec --json`: its whole outcome is one JSON line on stdout. */
import { toHoldfastError } from "../core/errors.ts";
import { capture } from "./capture.ts";
import { type ExecRequest, feed, SignalForwarder } from "./execute.ts";
import { deadline } from "./remote_process.ts";
import { printResult, type Result, resultStatus } from "./result_line.ts";
import { connectDaemon } from "./session.ts";

/** Runs it, prints the line, and resolves with the status to exit with: the line's `rc`. */
export async function executeJson(request: ExecRequest): Promise<number> {
  const result = await run(request);
  await printResult(result);
  return resultStatus(result);
}

async function run(request: ExecRequest): Promise<Result> {
  const limit = deadline(request.target, request.timeout);
  const signals = new SignalForwarder(limit);
  const { signal } = limit;
  try {
    await using session = await connectDaemon();
    const { target, ssh, command, cwd, env, input, leave } = request;
    const context = await session.open({ target, ssh, purpose: "command", signal });
    return await capture(session.router, context, {
      command,
      cwd,
      env,
      input,
      leave,
      signal,
      onStart(process) {
        signals.attach(process);
        if (process.stdin) void feed(process.stdin);
      },
    });
  } catch (error) {
    return { status: null, error: toHoldfastError(signal.aborted ? signal.reason : error) };
  }
}
