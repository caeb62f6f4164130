/** The core's entry in a remote context: greets its parent, serves it, and ends with its link. */
import { FORWARD_LOG, SHUTDOWN } from "./constants.ts";
import { Context } from "./context.ts";
import { CORE_MODULES } from "./core_modules.ts";
import { HoldfastError } from "./errors.ts";
import { checkVersion, encodeGreeting, hex, readGreeting } from "./greeting.ts";
import type { ProcessHost, Transport } from "./host.ts";
import { Importer } from "./importer.ts";
import { Link } from "./link.ts";
import { OwnedIds } from "./owned_ids.ts";
import { nodeProcess } from "./node_process.ts";
import { denoProcesses, denoStdio } from "./processes_deno.ts";
import { nodeProcesses, nodeStdio } from "./processes_node.ts";
import { start as startProcesses } from "./process_service.ts";
import { Router } from "./router.ts";

/** What the first stage leaves for us: the core's script, and how modules are inflated. */
interface FirstStage {
  source: string;
  inflate(bytes: Uint8Array): Promise<string>;
}

/** What the parent's greeting tells. */
interface Birth {
  id: number;
  parents: number[];
  name: string;
  owner: string;
}

async function main({ source, inflate }: FirstStage): Promise<void> {
  const onDeno = "Deno" in globalThis;
  if (onDeno) restoreEnvironment();
  const host: ProcessHost = onDeno ? denoProcesses : nodeProcesses();
  const transport: Transport = onDeno ? denoStdio() : nodeStdio();
  const bytes = new TextEncoder().encode(source);
  const hash = hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
  await transport.write(encodeGreeting({ runtime: host.runtime }, hash));
  const { greeting, rest } = await readGreeting(transport);
  checkVersion(greeting);
  const { id, parents, name, owner } = greeting.body as unknown as Birth;
  const ids = new OwnedIds();
  const router: Router = new Router({
    id,
    parentIds: parents,
    mayAnnounce: (id, link) => {
      const given = ids.ownerOf(id);
      return given !== undefined && router.linkOf(given) === link;
    },
    onWarning: (text) =>
      router.sendJson({ dst: parents.at(-1)!, handle: FORWARD_LOG, replyTo: 0 }, {
        level: "warn",
        text,
      }),
  });
  const link = new Link(parents[0], transport);
  router.setParent(link);
  const importer = new Importer(router, { core: CORE_MODULES, inflate });
  const core = { bytes, isCompressed: false, hash };
  const context = new Context({ router, host, name, owner, importer, core, ids });
  router.onGone((id) => ids.release(id));
  context.start(startProcesses);
  router.setStandardHandler(SHUTDOWN, ({ auth }) => {
    if (!router.hasParentAuthority(auth)) return;
    if (!context.detached) return link.close(null);
    // The parent sees others leave as their process ends; of this one it closes the link.
    router.forget(id, new HoldfastError("disconnected", "detached"));
  });
  await link.run({
    onFrame: (frame) => router.receive(frame, link),
    onClose: (error) =>
      router.removeLink(
        link,
        error ?? new HoldfastError("disconnected", "the parent is gone"),
      ),
  }, rest);
  await context.close();
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
  if ("Deno" in globalThis) Deno.exit(status);
  nodeProcess().exit(status);
}
