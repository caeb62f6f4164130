/** Holdfast's own modules that are shipped to contexts on demand: services that not every context needs. */
import type { Module } from "../core/importer.ts";
import { CORE_MODULES } from "../core/core_modules.ts";
import { builtScript } from "../rendezvous/build_info.ts";
import { bundleScript } from "./bundle_script.ts";

/** By the id under which contexts know them. */
const ENTRIES = {
  /** CALL_FUNCTION */
  calls: "../calls/call_service.ts",
  /** A shell that waits for the next command */
  spare: "../core/spare_shell.ts",
  /** `file.send`, `file.receive` */
  files: "../files/file_service.ts",
  /** `hop.open`: children of a context */
  hops: "../parent/hop_service.ts",
  /** `net.dial`: what an SSH hop behind a context runs over */
  net: "../parent/net_service.ts",
  /** Runtimes for hops that have none */
  provision: "../parent/provision_service.ts",
  /** Terminals for `process.exec` */
  terminals: "../parent/local_terminal.ts",
} as const;

export type OwnModule = keyof typeof ENTRIES;

export const OWN_MODULES = Object.keys(ENTRIES) as OwnModule[];

const built: Map<OwnModule, Promise<Module>> = new Map();

export function isOwnModule(id: string): id is OwnModule {
  return Object.hasOwn(ENTRIES, id);
}

/** Compiles it, once per process. */
export function ownModule(id: OwnModule): Promise<Module> {
  let module = built.get(id);
  if (!module) built.set(id, module = build(id));
  return module;
}

async function build(id: OwnModule): Promise<Module> {
  const external = Object.keys(CORE_MODULES).flatMap((name) => [
    `./${name}.ts`,
    `../core/${name}.ts`,
    `../../core/${name}.ts`,
  ]);
  const entry = new URL(ENTRIES[id], import.meta.url);
  const source = builtScript(id) ?? await bundleScript(entry, { format: "cjs", external });
  return { id, needs: [], requires: {}, own: true, source };
}
