/** The table of connection methods by the name that a TARGET uses; `open_hop.ts` looks here. */
import type { ConnectionMethod } from "./connection_method.ts";
import { bwrap } from "./methods/bwrap.ts";
import { chroot } from "./methods/chroot.ts";
import { docker } from "./methods/docker.ts";
import { doas } from "./methods/doas.ts";
import { incus } from "./methods/incus.ts";
import { kubectl } from "./methods/kubectl.ts";
import { local } from "./methods/local.ts";
import { lxc } from "./methods/lxc.ts";
import { machinectl } from "./methods/machinectl.ts";
import { nsenter } from "./methods/nsenter.ts";
import { podman } from "./methods/podman.ts";
import { su } from "./methods/su.ts";
import { sudo } from "./methods/sudo.ts";

export const CONNECTION_METHODS: Record<string, ConnectionMethod> = {
  bwrap,
  chroot,
  docker,
  doas,
  incus,
  kubectl,
  local,
  lxc,
  machinectl,
  nsenter,
  podman,
  su,
  sudo,
};
