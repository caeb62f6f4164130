/** Orders a child to outlive its link: a child that nobody ordered to is not believed. For `hop_service.ts` and the root. */
import type { Router } from "../core/router.ts";

/** Resolves when the child, a neighbour below `router`, has agreed; its own word counts only after this order. */
export async function detachChild(router: Router, id: number): Promise<void> {
  const link = router.linkOf(id);
  if (link?.peer === id) link.mayDetach = true;
  await router.call(id, { service: "context", method: "detach" });
}
