/** The connection method `podman=CONTAINER`: a running container of Podman. */
import { containerEngine } from "../container_engine.ts";

export const podman = containerEngine("podman");
