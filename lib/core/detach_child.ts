/** Orders a child to outlive its link. For the context's own service and, at the root, the daemon's tree. */
import { HoldfastError } from "./errors.ts";
import type { Router } from "./router.ts";

/** Resolves when the child, a neighbour below `router`, has agreed; its own word counts only after this order. */
export async function detachChild(router: Router, id: number): Promise<void> {
  const link = router.linkOf(id);
  if (link?.peer !== id) {
    throw new HoldfastError("no_route", `Cannot detach context ${id}: it is no child of this one`);
  }
  link.mayDetach = true;
  await router.call(id, { service: "context", method: "detach" });
}
