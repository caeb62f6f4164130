/**
 * What of ssh's algorithms ssh2 can do, and which of a user's settings it cannot honour at all.
 * Used by `ssh_connection.ts` (offers) and by whoever chooses between ssh2 and the system's ssh.
 */

import { HoldfastError } from "../core/errors.ts";
import { SUPPORTED } from "../rendezvous/supported_algorithms.ts";
import { isAesGcmFast } from "./aes_gcm.ts";
import type { ConnectConfig } from "./ssh2.ts";
import type { SshSettings } from "./ssh_settings.ts";
import { describe } from "./ssh_socket.ts";

/** OpenSSH's own orders of the above, until version 10 and since: what a user has who set no other. */
const USUAL_CIPHERS = [
  "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com",
  "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr",
];

type Kind = keyof typeof SUPPORTED;

/** The keyword of ssh_config that a user would change, per kind. */
const KEYWORDS: Record<Kind, string> = {
  kex: "KexAlgorithms",
  serverHostKey: "HostKeyAlgorithms",
  cipher: "Ciphers",
  hmac: "MACs",
};

/** What the user allows and ssh2 can, in the user's order. Fails with kind `kex` when nothing is left. */
export function offeredAlgorithms(settings: SshSettings): Record<Kind, string[]> {
  const offer = {} as Record<Kind, string[]>;
  for (const kind of Object.keys(SUPPORTED) as Kind[]) {
    offer[kind] = offered(settings, kind);
    if (offer[kind].length === 0) {
      throw new HoldfastError(
        "kex",
        `Cannot connect to ${describe(settings)} (key exchange): ${
          KEYWORDS[kind]
        } allows nothing that is built in\n` +
          `Allow at least one of ${SUPPORTED[kind].slice(0, 4).join(",")}`,
      );
    }
  }
  return offer;
}

/**
 * The same as ssh2 wants it, the fast ciphers first where nobody chose another order. Nothing is compressed, whatever
 * ssh_config wishes: ssh2 reaches into node's zlib for that, which Deno has no counterpart of.
 */
export function ssh2Algorithms(offer: Record<Kind, string[]>): ConnectConfig["algorithms"] {
  const cipher = fastFirst(offer.cipher, { isAesGcmFast });
  return { ...offer, cipher, compress: ["none"] } as ConnectConfig["algorithms"];
}

/** `ciphers` as they are when a user chose their order, else those first that cost both ends the least. */
export function fastFirst(
  ciphers: string[],
  options: { isAesGcmFast: () => boolean },
): string[] {
  if (!USUAL_CIPHERS.includes(ciphers.join()) || !options.isAesGcmFast()) return ciphers;
  const isGcm = (name: string) => name.includes("-gcm@");
  return [...ciphers.filter(isGcm), ...ciphers.filter((name) => !isGcm(name))];
}

/**
 * Why only OpenSSH's own client can do justice to `settings`, or null when ssh2 can. A reason does not
 * mean that ssh2 must fail: a GSSAPI user may have a key as well.
 */
export function needsOpenSsh(settings: SshSettings): string | null {
  const on = (keyword: string) => ["yes", "true"].includes(settings.raw.get(keyword)?.[0] ?? "no");
  if (settings.certificateFiles.length > 0) return "CertificateFile: ssh2 cannot use certificates";
  for (const kind of Object.keys(SUPPORTED) as Kind[]) {
    if (offered(settings, kind).length === 0) {
      return `${KEYWORDS[kind]}: none of the allowed algorithms is in ssh2`;
    }
  }
  const sk = settings.namedIdentityFiles.find((file) => /_sk$/.test(file));
  if (sk !== undefined) return `IdentityFile ${sk}: ssh2 cannot use FIDO security keys`;
  if (on("hostbasedauthentication")) return "HostbasedAuthentication: not in ssh2";
  if (on("verifyhostkeydns")) return "VerifyHostKeyDNS: not in ssh2";
  if ((settings.raw.get("knownhostscommand")?.[0] ?? "none") !== "none") {
    return "KnownHostsCommand: not in Holdfast";
  }
  if ((settings.raw.get("pkcs11provider")?.[0] ?? "none") !== "none") {
    return "PKCS11Provider: not in ssh2";
  }
  if (on("proxyusefdpass")) return "ProxyUseFdpass: not in Holdfast";
  if ((settings.raw.get("bindinterface")?.[0] ?? "none") !== "none") {
    return "BindInterface: not in Holdfast";
  }
  const wanted = settings.preferredAuthentications;
  const usable = ["publickey", "password", "keyboard-interactive"];
  if (wanted.length > 0 && !wanted.some((method) => usable.includes(method))) {
    return `PreferredAuthentications ${wanted.join(",")}: none of these is in ssh2`;
  }
  return null;
}

function offered(settings: SshSettings, kind: Kind): string[] {
  const wanted = {
    kex: settings.kexAlgorithms,
    serverHostKey: settings.hostKeyAlgorithms,
    cipher: settings.ciphers,
    hmac: settings.macs,
  }[kind];
  const supported: readonly string[] = SUPPORTED[kind];
  return wanted.filter((name) => supported.includes(name));
}
