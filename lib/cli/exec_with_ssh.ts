/** `exec --with-ssh`, on the way to what does it. Loaded for that only, as the other commands do not wait for it. */
import type { ExecRequest } from "../client/execute.ts";

/** Runs a command that can call `ssh`, for the TARGETs that are `allowed`; `run` gets the request to carry out. */
export async function execWithSsh(
  request: ExecRequest,
  { allowed, run }: { allowed: readonly string[]; run: (request: ExecRequest) => Promise<number> },
): Promise<number> {
  const { offerInnerSsh } = await import("../dropin/exec_with_ssh.ts");
  await using inner = await offerInnerSsh(request, allowed);
  return await run({ ...request, env: { ...inner.env, ...request.env } });
}
