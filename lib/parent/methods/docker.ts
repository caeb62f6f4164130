/** The connection method `docker=CONTAINER`: a running container of Docker. */
import { containerEngine } from "../container_engine.ts";

export const docker = containerEngine("docker");
