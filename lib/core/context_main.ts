/** The core's entry in a remote context: greets its parent, serves it, and ends with its link. */
import { checkVersion, encodeGreeting, hex, readGreeting } from "./greeting.ts";
import type { Host, Transport } from "./host.ts";
import { denoHost, denoStdio } from "./host_deno.ts";
import { nodeHost, nodeStdio } from "./host_node.ts";
import { Link } from "./link.ts";
import { FORWARD_LOG } from "./constants.ts";
import { HoldfastError } from "./errors.ts";
import { ProcessService } from "./process_service.ts";
import { FileService } from "./file_service.ts";
import { Router } from "./router.ts";
import { serve, type Service } from "./service.ts";

/** What the first stage leaves for us: the core as it was received. */
interface FirstStage {
  core: Uint8Array;
}

/** The services that every context has, on a host of its own. */
export function contextServices(host: Host): {
  services: Record<string, Service>;
  close(): Promise<void>;
} {
  const processes = new ProcessService(host);
  const files = new FileService(host);
  return {
    services: {
      process: processes.service,
      file: files.service,
      context: { ping: { policy: "parents", handle: () => null } },
    },
    async close() {
      await Promise.all([processes.close(), files.close()]);
    },
  };
}

async function main({ core }: FirstStage): Promise<void> {
  const onDeno = "Deno" in globalThis;
  if (onDeno) restoreEnvironment();
  const host = onDeno ? denoHost : nodeHost();
  const transport: Transport = onDeno ? denoStdio() : nodeStdio();
  const hash = hex(new Uint8Array(await crypto.subtle.digest("SHA-256", core as BufferSource)));
  await transport.write(encodeGreeting({ runtime: host.runtime }, hash));
  const { greeting, rest } = await readGreeting(transport);
  checkVersion(greeting);
  const { id, parents } = greeting.body as { id: number; parents: number[] };
  const router = new Router({
    id,
    parentIds: parents,
    onWarning: (text) =>
      router.sendJson({ dst: parents[0], handle: FORWARD_LOG, replyTo: 0 }, {
        level: "warn",
        text,
      }),
  });
  const link = new Link(parents[0], transport);
  router.setParent(link);
  const { services, close } = contextServices(host);
  serve(router, services);
  await link.run({
    onFrame: (frame) => router.receive(frame, link),
    onClose: (error) =>
      router.removeLink(link, error ?? new HoldfastError("disconnected", "the parent is gone")),
  }, rest);
  await close();
}

/** Takes back what the first stage set so that Deno writes nothing to the disk. */
function restoreEnvironment(): void {
  const { env } = Deno;
  const directory = env.get("HF_D");
  if (directory) env.set("DENO_DIR", directory);
  else env.delete("DENO_DIR");
  env.delete("HF_D");
  env.delete("DENO_NO_UPDATE_CHECK");
}

const stage = (globalThis as { holdfast?: FirstStage }).holdfast;
if (stage) main(stage).then(() => exit(0), () => exit(1));

function exit(status: number): void {
  // deno-lint-ignore no-explicit-any
  (globalThis as any).process.exit(status);
}
