/** The connection method `kubectl=[NAMESPACE/]POD[/CONTAINER]`. */
import { HoldfastError } from "../../core/errors.ts";
import type { ConnectionMethod } from "../connection_method.ts";

export const kubectl: ConnectionMethod = {
  words(script, { argument }) {
    const parts = argument!.split("/");
    if (parts.length > 3 || parts.includes("")) {
      throw new HoldfastError(
        "usage",
        "write kubectl=NAMESPACE/POD[/CONTAINER]",
      );
    }
    const [namespace, pod, container] = parts.length > 1 ? parts : ["", parts[0]];
    return [
      ..."kubectl exec -i".split(" "),
      ...namespace ? [`--namespace=${namespace}`] : [],
      ...container ? [`--container=${container}`] : [],
      ...[`pod/${pod}`, "--", "sh", "-c", script],
    ];
  },
  noun: "pod or container",
  absent: /NotFound|is not valid for pod/,
  denied: /Forbidden|Unauthorized|must be logged in/,
};
