/** The built files that earlier parents have put on this machine for this user, the runtime's own first. */
import type { ProcessHost } from "../core/host.ts";
import { outputOf } from "./payload.ts";
import { PROVISION_SCRIPT } from "./provision_script.ts";

export async function keptFiles(host: ProcessHost): Promise<string[]> {
  const output = await outputOf(host, ["sh", "-c", `${PROVISION_SCRIPT}files`]);
  const paths = new TextDecoder().decode(output).match(/(?<=^hf:file ).*$/gm) ?? [];
  const own = (path: string) => host.runtimePath?.startsWith(path.replace(/holdfast$/, "")) ? 0 : 1;
  return [...paths].sort((a, b) => own(a) - own(b));
}
