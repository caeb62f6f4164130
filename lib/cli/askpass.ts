/**
 * `holdfast askpass`: what OpenSSH's client runs when it has a question. The daemon that started that client has it
 * answered by whoever caused the connection. Not for people.
 */
import { connectDaemon } from "../client/session.ts";
import { HoldfastError } from "../core/errors.ts";
import { COMMON_OPTIONS, type OptionTable, parseOptions } from "./options.ts";

export const usage = "holdfast askpass QUESTION";

export const options = { ...COMMON_OPTIONS } satisfies OptionTable;

/** Prints the answer; status 1 when there is none. */
export async function run(args: string[]): Promise<number> {
  const { positionals: [prompt = ""] } = await parseOptions(args, options);
  const ticket = Deno.env.get("HOLDFAST_ASKPASS");
  if (ticket === undefined) {
    throw new HoldfastError("usage", "Cannot ask: only an ssh that Holdfast started has questions");
  }
  await using session = await connectDaemon({ start: false });
  if (!session) return 1;
  const hint = Deno.env.get("SSH_ASKPASS_PROMPT") ?? null;
  const { answer } = await session.daemon("askpass", "ask", { ticket, prompt, hint });
  if (typeof answer !== "string") return 1;
  console.log(answer);
  return 0;
}
