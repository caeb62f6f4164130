/** Throwaway SSH keys of the tests, made by ssh-keygen below the temporary base. */

import { tempBase } from "./temp.ts";

/** A key pair on disk. */
export interface Identity {
  /** The private key's path; the public key lies beside it as `.pub`. */
  readonly path: string;
  /** The public key's line, as `authorized_keys` wants it. */
  readonly publicKey: string;
}

/** What ssh-keygen is asked for. */
export interface IdentityOptions {
  /** Default ed25519. */
  type?: "ed25519" | "ecdsa" | "rsa";
  /** Default none. */
  passphrase?: string;
  /** Default: a new name below the temporary base. */
  path?: string;
}

/** Makes a key pair. It goes with the test process. */
export async function createIdentity(options: IdentityOptions = {}): Promise<Identity> {
  const { type = "ed25519", passphrase = "" } = options;
  const path = options.path ?? `${tempBase()}/key-${crypto.randomUUID()}`;
  const args = ["-q", "-t", type, "-N", passphrase, "-C", "holdfast-test", "-f", path];
  const { success, stderr } = await new Deno.Command("ssh-keygen", { args, stdin: "null" })
    .output();
  if (!success) {
    throw new Error(`Cannot make key "${path}": ${new TextDecoder().decode(stderr)}`);
  }
  return { path, publicKey: (await Deno.readTextFile(`${path}.pub`)).trim() };
}

let shared: Promise<Identity> | undefined;

/** The key that fixtures use unless told otherwise: one per test process. */
export function testIdentity(): Promise<Identity> {
  return shared ??= createIdentity();
}
