/** The connection method `kubectl=[NAMESPACE/]POD[/CONTAINER]`. */
import { HoldfastError } from "../../core/errors.ts";
import type { ConnectionMethod } from "../connection_method.ts";

export const kubectl: ConnectionMethod = {
  words(script, { argument }) {
    const parts = argument!.split("/");
    if (parts.length > 3 || parts.includes("")) {
      throw new HoldfastError(
        "usage",
        "write kubectl=NAMESPACE/POD or kubectl=NAMESPACE/POD/CONTAINER",
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
  failures: [
    [
      /NotFound|is not valid for pod|[Nn]o such container/,
      "not_found",
      "there is no such pod or container",
    ],
    [/Forbidden|Unauthorized|must be logged in/, "permission", "the cluster does not allow it"],
    [
      /not running|container not found|completed pod|not ready/,
      "bootstrap",
      "the container is not running",
    ],
    [/executable file|no such file/, "bootstrap", "there is no shell in the container"],
    [
      /connection to the server|[Uu]nable to connect|dial tcp/,
      "connect",
      "the cluster cannot be reached",
    ],
  ],
};
