/** The connection method `incus=INSTANCE`: a running container or virtual machine of Incus. */
import { instanceManager } from "../instance_manager.ts";

export const incus = instanceManager("incus");
