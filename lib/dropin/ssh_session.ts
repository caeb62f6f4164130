/** Carries out a request of ssh's command line over the daemon's connections. The hot path of `holdfast ssh`. */
import { feed } from "../client/execute.ts";
import { startProcess } from "../client/remote_process.ts";
import { openSession, type SshOptions } from "../client/session.ts";
import { makeBlocking } from "../client/make_blocking.ts";
import { passOn } from "./pass_on.ts";
import { processOptions, purposeOf, statusOf } from "./process_options.ts";
import { planSession, SESSION_KEYWORDS, type SessionPlan } from "./session_plan.ts";
import type { SshLog } from "./ssh_log.ts";
import type { SshRequest } from "./ssh_request.ts";
import { announceBackground, endBySignals, IN_BACKGROUND, type OpenWork } from "./session_work.ts";

/** Resolves with the status to exit with. `words` are the whole command line. */
export async function runSession(
  request: SshRequest,
  { log, words }: { log: SshLog; words: readonly string[] },
): Promise<number> {
  const circumstances = {
    onTerminal: Deno.stdin.isTerminal(),
    environment: Deno.env.toObject(),
  };
  // What the command line alone says is nearly always all there is.
  const guess = planSession(request, { ...circumstances, keywords: {} });
  const { destination: target } = request;
  const ssh = await withAgent(request);
  const opened = await openSession({
    target,
    ssh,
    purpose: purposeOf(guess),
    keywords: SESSION_KEYWORDS,
  });
  const { session, keywords } = opened;
  try {
    const plan = planSession(request, { ...circumstances, keywords });
    log.level = plan.level;
    if (plan.lacksTerminal) {
      log.write(
        "INFO",
        "Pseudo-terminal will not be allocated because stdin is not a terminal.",
      );
    }
    if (plan.background && Deno.env.get(IN_BACKGROUND) === undefined) {
      const { goOnInBackground }: typeof import("./background.ts") = await import(
        "./background.ts" as string
      );
      // A command's output is ours to the end, and so is what is said for who looks for a fault.
      const releases = plan.work.kind === "none" && !log.isDebug;
      return await goOnInBackground(words, { releases });
    }
    const context = purposeOf(plan) === purposeOf(guess)
      ? opened.context
      : await session.open({ target, ssh, purpose: purposeOf(plan) });
    log.write("DEBUG1", `${target}: context ${context} of the daemon's tree`);
    const open = { request, plan, session, context, log };
    if (request.agent && runsSomething(plan)) await forwardAgent(open, ssh);
    const status = await work(open);
    log.write("DEBUG1", `Exit status ${status}`);
    return status;
  } finally {
    await session.close();
  }
}

/** A connection that forwards an agent is one of its own: the daemon must know. Hops behind it do not need that. */
async function withAgent(
  { agent, ssh, destination, isStack }: SshRequest,
): Promise<SshOptions> {
  if (agent === undefined) return ssh;
  if (agent && isStack) {
    const { parseTarget }: typeof import("../rendezvous/target.ts") = await import(
      "../rendezvous/target.ts" as string
    );
    if (parseTarget(destination).at(-1)!.method !== "ssh") return ssh;
  }
  return { ...ssh, options: [`ForwardAgent=${agent ? "yes" : "no"}`, ...ssh.options ?? []] };
}

/** Behind hops; an SSH server does it by itself. Asked for on the command line only: more than a host can see it then. */
async function forwardAgent(open: OpenWork, ssh: SshOptions): Promise<void> {
  const { plan, session, request: { destination: target } } = open;
  if (plan.terminal) await session.open({ target, ssh, purpose: "channel" });
  const { relayAgent }: typeof import("./agent_relay.ts") = await import(
    "./agent_relay.ts" as string
  );
  const path = await relayAgent(open);
  if (path !== null) plan.env = { ...plan.env, SSH_AUTH_SOCK: path };
}

async function work(open: OpenWork): Promise<number> {
  const { plan, session, context, log } = open;
  if (plan.forwards.length > 0) {
    const { startForwards }: typeof import("./port_forwards.ts") = await import(
      "./port_forwards.ts" as string
    );
    await startForwards(open);
  }
  if (plan.work.kind === "stdio") {
    const { forwardStdio }: typeof import("./stdio_forward.ts") = await import(
      "./stdio_forward.ts" as string
    );
    return await forwardStdio(open, plan.work.endpoint);
  }
  if (plan.work.kind === "none") {
    const { holdOpen }: typeof import("./hold_open.ts") = await import("./hold_open.ts" as string);
    return await holdOpen(open);
  }
  if (plan.terminal) {
    const { runOnTerminal }: typeof import("./terminal_session.ts") = await import(
      "./terminal_session.ts" as string
    );
    return await runOnTerminal(open);
  }
  const process = startProcess(session.router, context, processOptions(plan));
  await Promise.resolve(); // The command is on its way first.
  endBySignals(log);
  await announceBackground(log);
  makeBlocking();
  if (process.stdin) void feed(process.stdin);
  const [status] = await Promise.all([
    process.exit,
    passOn(process, {
      stdout: Deno.stdout,
      stderr: Deno.stderr,
      isGone: (error) => error instanceof Deno.errors.BrokenPipe,
    }),
  ]);
  return statusOf(status);
}

function runsSomething({ work }: SessionPlan): boolean {
  return work.kind === "shell" || work.kind === "command";
}
