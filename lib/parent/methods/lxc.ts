/** The connection method `lxc=INSTANCE`: a running container or virtual machine of LXD. */
import { instanceManager } from "../instance_manager.ts";

export const lxc = instanceManager("lxc");
