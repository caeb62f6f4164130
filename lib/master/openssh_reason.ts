/**
 * Why a host should be reached by the system's ssh: what its settings say, and what lies in files beside them. Asked by
 * `daemon/planner.ts` for every request, so it looks at files only, and reads those that have changed.
 */

import type { SshSettings } from "./ssh_settings.ts";
import { needsOpenSsh } from "./ssh_algorithms.ts";
import { KnownHosts } from "./known_hosts.ts";

/** known_hosts files that were read, each as it was then. */
const read = new Map<string, { stamp: string; known: KnownHosts }>();

/** Files remembered; more would be a leak. */
const MOST_FILES = 64;

/** As {@linkcode needsOpenSsh}, and also for certificates that are only found by looking: a host's, and a user's. */
export async function opensshReason(settings: SshSettings): Promise<string | null> {
  return needsOpenSsh(settings) ?? userCertificate(settings) ?? await hostCertificate(settings);
}

/** ssh takes the certificate beside a key without being told. */
function userCertificate({ identityFiles, pubkeyAuthentication }: SshSettings): string | null {
  if (!pubkeyAuthentication) return null;
  const found = identityFiles.map((file) => `${file}-cert.pub`).find((file) => stampOf(file));
  return found === undefined ? null : `${found}: ssh2 cannot use certificates`;
}

async function hostCertificate(settings: SshSettings): Promise<string | null> {
  const { hostKeyAlias, hostname, port } = settings;
  const question = { host: hostKeyAlias ?? hostname, port: hostKeyAlias === null ? port : null };
  for (const file of [...settings.userKnownHostsFiles, ...settings.globalKnownHostsFiles]) {
    const authority = (await knownHostsIn(file))?.authority(question);
    if (authority) return `@cert-authority in ${file}:${authority}: ssh2 cannot check certificates`;
  }
  return null;
}

async function knownHostsIn(file: string): Promise<KnownHosts | null> {
  const stamp = stampOf(file);
  if (stamp === null) return null;
  const before = read.get(file);
  if (before?.stamp === stamp) return before.known;
  const known = await KnownHosts.load([file]);
  if (read.size >= MOST_FILES) read.clear();
  read.set(file, { stamp, known });
  return known;
}

/** Null for what is no file. Synchronous: a look takes microseconds, a turn through the thread pool more. */
function stampOf(file: string): string | null {
  try {
    const { isFile, mtime, size, ino } = Deno.statSync(file);
    return isFile ? `${mtime?.getTime()}:${size}:${ino}` : null;
  } catch {
    return null;
  }
}
