/**
 * How a user proves who they are: ssh2's `authHandler`, made from settings and a way to ask.
 * Used by `ssh_connection.ts`; one object per attempt.
 */

import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import type { Ask } from "./ask.ts";
import { gatherIdentities, type Identity } from "./identities.ts";
import type { AnyAuthMethod, AuthHandlerMiddleware, Prompt } from "./ssh2.ts";
import type { SshSettings } from "./ssh_settings.ts";

export type { Ask } from "./ask.ts";

export interface AuthenticationOptions {
  /** Must stop the attempt's clock while a person thinks. */
  ask: Ask;
  /** `user@host:port`, for messages. */
  description: string;
  /** The asking client's SSH_AUTH_SOCK. */
  agentSocket?: string;
  signal?: AbortSignal;
  /** Wraps a wait that a person may cause (an agent's confirmation). */
  unhurried?<T>(work: Promise<T>): Promise<T>;
  log?(level: "debug" | "info", text: string): void;
  /** Called once, when nothing is left to try. */
  failed(error: HoldfastError): void;
}

type Method = "publickey" | "keyboard-interactive" | "password";

/** ssh's default order, without what ssh2 cannot do. */
const DEFAULT_ORDER: readonly string[] = ["publickey", "keyboard-interactive", "password"];

/**
 * - Nothing is asked before the host has said that it takes the answer.
 * - `settings.password` answers first, once per method, without a question.
 * - BatchMode, or a host that must not see passwords, means no question and no password at all.
 */
export class Authentication {
  readonly handler: AuthHandlerMiddleware;
  #settings: SshSettings;
  #options: AuthenticationOptions;
  #passwords = true;
  #offered: readonly string[] | null = null;
  #tried = new Set<string>();
  #keysTried: string[] = [];
  #problems: string[] = [];
  #refused: string | null = null;
  #attempts = new Map<Method, AsyncGenerator<AnyAuthMethod, void>>();

  constructor(settings: SshSettings, options: AuthenticationOptions) {
    this.#settings = settings;
    this.#options = options;
    // After a partial success the host's new list decides, so the flag itself says nothing more.
    this.handler = (left, _partial, next) => {
      this.#next(left).then((method) => {
        if (options.signal?.aborted) return;
        if (method === null) options.failed(this.failure());
        else next(method);
      }, (error) => {
        if (options.signal?.aborted) return;
        options.failed(
          error instanceof HoldfastError
            ? error
            : new HoldfastError("internal", `Cannot authenticate: ${error}`, { cause: error }),
        );
      });
    };
  }

  /** The host's key is not the known one: passwords must not reach it. */
  forbidPasswords(): void {
    this.#passwords = false;
  }

  /** The final error: what was tried, what the host offers, never a secret. `detail` is the host's own word. */
  failure(detail?: string): HoldfastError {
    const tried = [...this.#tried].map((method) => {
      if (method !== "publickey" || this.#keysTried.length === 0) return method;
      return `publickey (${this.#keysTried.join(", ")})`;
    });
    let text = `Cannot authenticate as ${this.#options.description}: `;
    text += tried.length === 0 ? "nothing to try" : `the host refused ${tried.join(", ")}`;
    if (this.#offered !== null) {
      text += `; it offers ${this.#offered.map((m) => printable(m)).join(", ")}`;
    }
    if (detail !== undefined) text += ` (${printable(detail)})`;
    const hints = [...this.#problems];
    if (this.#refused !== null) hints.push(this.#refused);
    if (!this.#passwords) hints.push("passwords are off because the host key changed");
    text += "\n" +
      (hints.length > 0
        ? `Note: ${hints.join("; ")}`
        : "Check the user name and the keys (-i, ssh-add -l, authorized_keys on the host)");
    return new HoldfastError("auth", text);
  }

  async #next(left: readonly string[] | null): Promise<AnyAuthMethod | null> {
    if (left !== null) this.#offered = left;
    for (const method of this.#order()) {
      if (this.#offered !== null && !this.#offered.includes(method)) continue;
      if (this.#offered === null && method !== "publickey") return this.#probe();
      let attempts = this.#attempts.get(method);
      if (attempts === undefined) {
        attempts = this.#start(method);
        this.#attempts.set(method, attempts);
      }
      const next = await attempts.next();
      if (!next.done) {
        this.#tried.add(method);
        return next.value;
      }
    }
    return this.#offered === null ? this.#probe() : null;
  }

  /** Asks the host what it offers; some let a user in on this alone. */
  #probe(): AnyAuthMethod {
    this.#offered = [];
    return { type: "none", username: this.#settings.user };
  }

  #order(): Method[] {
    const settings = this.#settings;
    const wanted = settings.preferredAuthentications.length > 0
      ? settings.preferredAuthentications
      : DEFAULT_ORDER;
    const questions = this.#passwords && (!settings.batchMode || settings.password !== undefined);
    const enabled: Record<Method, boolean> = {
      publickey: settings.pubkeyAuthentication,
      "keyboard-interactive": settings.kbdInteractiveAuthentication && questions,
      password: settings.passwordAuthentication && questions,
    };
    return wanted.filter((method): method is Method =>
      Object.hasOwn(enabled, method) && enabled[method as Method]
    );
  }

  #start(method: Method): AsyncGenerator<AnyAuthMethod, void> {
    switch (method) {
      case "publickey":
        return this.#keys();
      case "password":
        return this.#passwordAttempts();
      case "keyboard-interactive":
        return this.#interactive();
    }
  }

  async *#keys(): AsyncGenerator<AnyAuthMethod, void> {
    const { agentSocket, unhurried, log } = this.#options;
    const { identities, problems } = await gatherIdentities(this.#settings, {
      agentSocket,
      log,
      unhurried: unhurried ?? ((work) => work),
      askPassphrase: (file, attempt) => {
        const again = attempt > 0 ? "Bad passphrase, try again. " : "";
        return this.#ask(`${again}Enter passphrase for key '${printable(file)}': `, "passphrase");
      },
    });
    this.#problems.push(...problems);
    for (const { name, method } of identities as Identity[]) {
      this.#keysTried.push(name);
      yield method;
    }
  }

  async *#passwordAttempts(): AsyncGenerator<AnyAuthMethod, void> {
    const { user, password, hostname, numberOfPasswordPrompts, batchMode } = this.#settings;
    if (password !== undefined) yield { type: "password", username: user, password };
    for (let attempt = 0; attempt < numberOfPasswordPrompts && !batchMode; attempt++) {
      const again = attempt > 0 || password !== undefined
        ? "Permission denied, please try again.\n"
        : "";
      const prompt = `${again}${printable(user)}@${printable(hostname)}'s password: `;
      const answer = await this.#ask(prompt, "password");
      if (answer === null) return;
      yield { type: "password", username: user, password: answer };
    }
  }

  async *#interactive(): AsyncGenerator<AnyAuthMethod, void> {
    const { user, password, numberOfPasswordPrompts, batchMode } = this.#settings;
    let given = password;
    let stop = false;
    for (let attempt = 0; attempt < numberOfPasswordPrompts && !stop; attempt++) {
      if (given === undefined && batchMode) return;
      let asked = false;
      yield {
        type: "keyboard-interactive",
        username: user,
        prompt: (name, instructions, _language, prompts, finish) => {
          asked = true;
          if (given !== undefined && prompts.length === 1 && !prompts[0].echo) {
            const answer = given;
            given = undefined;
            finish([answer]);
            return;
          }
          this.#answers({ name, instructions, prompts }).then((answers) => {
            if (answers === null) stop = true;
            finish(answers ?? []);
          });
        },
      };
      if (!asked) return; // refused at once: asking again would not help
    }
  }

  /** One answer per prompt, or null as soon as one is not given. */
  async #answers(
    request: { name: string; instructions: string; prompts: Prompt[] },
  ): Promise<string[] | null> {
    if (this.#settings.batchMode) return null;
    const { user, hostname } = this.#settings;
    const heading = [request.name, request.instructions].filter((text) => text !== "")
      .map((text) => printable(text.trimEnd(), { multiline: true }) + "\n").join("");
    const answers: string[] = [];
    for (const [index, { prompt, echo = false }] of request.prompts.entries()) {
      const from = `(${printable(user)}@${printable(hostname)}) `;
      const text = (index === 0 ? heading : "") + from + printable(prompt);
      const answer = await this.#ask(text, "keyboard_interactive", echo);
      if (answer === null) return null;
      answers.push(answer);
    }
    return answers;
  }

  async #ask(
    prompt: string,
    kind: "password" | "passphrase" | "keyboard_interactive",
    echo = false,
  ): Promise<string | null> {
    if (this.#settings.batchMode) return null;
    const { ask, description: host, signal } = this.#options;
    const answer = await ask({ prompt, echo, kind, host }, { signal });
    if (answer === null) this.#refused = "a question was not answered";
    return answer;
  }
}
