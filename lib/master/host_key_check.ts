/**
 * Decides whether a host is who it should be: known_hosts, StrictHostKeyChecking and the user's answer.
 * Used by `ssh_connection.ts` in the middle of the key exchange.
 */

import { isIP } from "node:net";
import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import type { Ask } from "./ask.ts";
import {
  addKnownHost,
  fingerprint,
  type HostKeyVerdict,
  keyType,
  KnownHosts,
  knownHostsName,
} from "./known_hosts.ts";

import type { SshSettings } from "./ssh_settings.ts";

export interface HostKeyCheckOptions {
  /** Asks the person who caused the connection. */
  ask: Ask;
  /** `user@host:port`, for messages. */
  description: string;
  signal?: AbortSignal;
  log?: (level: "info" | "warn", text: string) => void;
}

/** `passwords` tells whether the host may be trusted with a password. */
export interface HostTrust {
  passwords: boolean;
}

/** One attempt's look at known_hosts: read once, before the key exchange. */
export class HostKeyCheck {
  #settings: SshSettings;
  #options: HostKeyCheckOptions;
  #known: KnownHosts;
  #host: string;
  #port: number | null;

  private constructor(settings: SshSettings, options: HostKeyCheckOptions, known: KnownHosts) {
    this.#settings = settings;
    this.#options = options;
    this.#known = known;
    this.#host = settings.hostKeyAlias ?? settings.hostname;
    this.#port = settings.hostKeyAlias === null ? settings.port : null;
  }

  static async load(settings: SshSettings, options: HostKeyCheckOptions): Promise<HostKeyCheck> {
    const files = [...settings.userKnownHostsFiles, ...settings.globalKnownHostsFiles];
    return new HostKeyCheck(settings, options, await KnownHosts.load(files));
  }

  /** `algorithms` with those first whose keys are known for the host. */
  prefer(algorithms: readonly string[]): string[] {
    const known = this.#known.keyTypes(this.#host, this.#port);
    return [
      ...algorithms.filter((algorithm) => known.includes(algorithm)),
      ...algorithms.filter((algorithm) => !known.includes(algorithm)),
    ];
  }

  /** Whether the key is simply the right one, so that nobody need be asked and nothing written. */
  isKnown(key: Uint8Array): boolean {
    return this.#known.check({ host: this.#host, port: this.#port, key }).verdict === "known";
  }

  /**
   * Fails with kind `host_key` unless the key is to be trusted.
   *
   * As OpenSSH, but stricter in one point: a revoked key is refused even with StrictHostKeyChecking=no.
   */
  async check(key: Uint8Array): Promise<HostTrust> {
    const verdict = this.#known.check({ host: this.#host, port: this.#port, key });
    const mode = this.#settings.strictHostKeyChecking;
    if (verdict.verdict === "known" || this.#isExempt()) return { passwords: true };
    if (verdict.verdict === "revoked") throw this.#revoked(verdict, key);
    if (verdict.verdict === "changed") {
      if (mode !== "no") throw this.#changed(verdict, key);
      const where = `${verdict.file}:${verdict.line}`;
      const text = `The host key of ${this.#options.description} differs from ${where}; ` +
        `StrictHostKeyChecking=no: going on without passwords`;
      this.#options.log?.("warn", text);
      return { passwords: false };
    }
    if (mode === "yes") throw this.#unknown(key, "StrictHostKeyChecking is yes");
    if (mode === "ask") await this.#askUser(key);
    await this.#remember(key);
    return { passwords: true };
  }

  #isExempt(): boolean {
    if (this.#settings.raw.get("nohostauthenticationforlocalhost")?.[0] !== "yes") return false;
    return /^(localhost|127(\.\d+){3}|::1)$/i.test(this.#settings.hostname);
  }

  async #askUser(key: Uint8Array): Promise<void> {
    if (this.#settings.batchMode) throw this.#unknown(key, "BatchMode allows no question");
    const print = fingerprint(key);
    const others = this.#known.otherNames(key).map(({ file, line, names }) =>
      `    ${printable(file)}:${line}: ${
        names.startsWith("|") ? "[hashed name]" : printable(names)
      }`
    );
    let prompt = `The authenticity of host '${this.#shownName()}' can't be established.\n` +
      `${familyName(key)} key fingerprint is ${print}.\n` +
      (others.length === 0
        ? "This key is not known by any other names.\n"
        : `This host key is known by the following other names/addresses:\n${
          others.join("\n")
        }\n`) +
      "Are you sure you want to continue connecting (yes/no/[fingerprint])? ";
    while (true) {
      const { ask, description, signal } = this.#options;
      const question = { prompt, echo: true, kind: "host_key", host: description } as const;
      const answer = (await ask(question, { signal }))?.trim() ?? null;
      if (answer === null) throw this.#unknown(key, "nobody confirmed it");
      if (/^yes$/i.test(answer) || answer === print) return;
      if (answer === "" || /^no$/i.test(answer)) throw this.#unknown(key, "it was not accepted");
      prompt = "Please type 'yes', 'no' or the fingerprint: ";
    }
  }

  async #remember(key: Uint8Array): Promise<void> {
    const file = this.#settings.userKnownHostsFiles[0];
    if (file === undefined) return;
    const entry = { host: this.#host, port: this.#port, key, hash: this.#settings.hashKnownHosts };
    const what = `the ${familyName(key)} key of ${this.#options.description}`;
    try {
      await addKnownHost(file, entry);
      this.#options.log?.("info", `Permanently added ${what} to ${file}`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.log?.("warn", `Cannot add ${what} to ${file}: ${reason}`);
    }
  }

  #shownName(): string {
    const name = knownHostsName(this.#host, this.#port);
    const { hostname } = this.#settings;
    return isIP(hostname) !== 0 && hostname !== this.#host ? `${name} (${hostname})` : name;
  }

  #unknown(key: Uint8Array, why: string): HoldfastError {
    const { description } = this.#options;
    return new HoldfastError(
      "host_key",
      `Cannot trust ${description} (key exchange): its ${familyName(key)} key ` +
        `${fingerprint(key)} is not known and ${why}\n` +
        `Compare the fingerprint, then connect once with ssh, or use -o StrictHostKeyChecking=accept-new`,
    );
  }

  #changed(found: HostKeyVerdict & { verdict: "changed" }, key: Uint8Array): HoldfastError {
    const { description } = this.#options;
    return new HoldfastError(
      "host_key",
      `Cannot trust ${description} (key exchange): its ${familyName(key)} key ${
        fingerprint(key)
      } is not the one in ${found.file}:${found.line}; somebody may be in between\n` +
        `If the host really has a new key: ssh-keygen -f ${shellWord(found.file)} -R ${
          shellWord(knownHostsName(this.#host, this.#port))
        }`,
    );
  }

  #revoked(found: HostKeyVerdict & { verdict: "revoked" }, key: Uint8Array): HoldfastError {
    const { description } = this.#options;
    return new HoldfastError(
      "host_key",
      `Cannot trust ${description} (key exchange): its ${familyName(key)} key ` +
        `${fingerprint(key)} is marked @revoked in ${found.file}:${found.line}\n` +
        `Give the host a new key; a revoked one is never accepted`,
    );
  }
}

/** ssh's name for a key's family, as `ED25519`. */
function familyName(key: Uint8Array): string {
  const type = keyType(key);
  if (type.startsWith("ecdsa-")) return "ECDSA";
  return printable(type.replace(/^ssh-/, "").replace("dss", "dsa").toUpperCase());
}

/** `word` so that a shell reads it back as one word. */
function shellWord(word: string): string {
  const shown = printable(word);
  return /^[\w@%+=:,./-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", `'\\''`)}'`;
}
