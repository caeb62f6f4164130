/** What `-Q` answers where no ssh is installed, by ssh's names for the query in lower case. */
import { SUPPORTED } from "../rendezvous/supported_algorithms.ts";

export const SSH_QUERIES: Readonly<Record<string, readonly string[]>> = {
  cipher: SUPPORTED.cipher,
  ciphers: SUPPORTED.cipher,
  mac: SUPPORTED.hmac,
  macs: SUPPORTED.hmac,
  kex: SUPPORTED.kex,
  kexalgorithms: SUPPORTED.kex,
  key: SUPPORTED.serverHostKey,
  sig: SUPPORTED.serverHostKey,
  hostkeyalgorithms: SUPPORTED.serverHostKey,
  "protocol-version": ["2"],
};
