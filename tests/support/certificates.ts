/** Throwaway certificate authorities of the tests, over ssh-keygen. */

import { createIdentity, type Identity } from "./identity.ts";

/** Whom a certificate is for, and what it says. */
export interface CertificateOptions {
  /** Host names, with `host`; user names without. */
  principals: string[];
  host?: boolean;
  /** ssh-keygen's `-V`. Default: always. */
  validity?: string;
}

/** Signs keys. */
export class Authority {
  readonly #identity: Identity;

  private constructor(identity: Identity) {
    this.#identity = identity;
  }

  static async create(): Promise<Authority> {
    return new Authority(await createIdentity());
  }

  /** Its public key's line. */
  get publicKey(): string {
    return this.#identity.publicKey;
  }

  /** The public key's file, as TrustedUserCAKeys wants it. */
  get publicKeyFile(): string {
    return `${this.#identity.path}.pub`;
  }

  /** Makes `KEY-cert.pub` beside the key; resolves to its path. */
  async sign(key: Identity, options: CertificateOptions): Promise<string> {
    const { principals, host = false, validity = "always:forever" } = options;
    const args = ["-q", "-s", this.#identity.path, "-I", "holdfast-test", "-V", validity];
    if (host) args.push("-h");
    args.push("-n", principals.join(","), `${key.path}.pub`);
    const { success, stderr } = await new Deno.Command("ssh-keygen", { args, stdin: "null" })
      .output();
    if (!success) {
      throw new Error(`Cannot sign "${key.path}": ${new TextDecoder().decode(stderr)}`);
    }
    return `${key.path}-cert.pub`;
  }
}
