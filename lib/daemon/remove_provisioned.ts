/** Removes what was put on a target to give it a runtime, partial files included. For `connection_cache.ts`. */
import type { Router } from "../core/router.ts";
import { PROVISION_SCRIPT } from "../parent/provision_script.ts";
import { withScript } from "../parent/script_process.ts";

/** `context` is one on the target, of whatever kind. Resolves with the paths that are gone. */
export async function removeProvisioned(router: Router, context: number): Promise<string[]> {
  const script = `${PROVISION_SCRIPT}remove`;
  return await withScript({ router, to: context, script }, async ({ stdout }) => {
    const decoder = new TextDecoder();
    let text = "";
    for (let bytes = await stdout.read(); bytes; bytes = await stdout.read()) {
      text += decoder.decode(bytes, { stream: true });
    }
    return text.match(/(?<=^hf:removed ).*$/gm) ?? [];
  });
}
