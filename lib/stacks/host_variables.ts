/** The variables of one host of an inventory, as text. For `inventory.ts`. No error quotes a value: some are passwords. */

/** Variables that are looked at for one, through templates. */
const MOST_LOOKUPS = 100;

/**
 * - A template that only names another variable of the host is evaluated; every other is Ansible's to evaluate.
 * - What ansible-inventory could not decrypt has no text.
 */
export class HostVariables {
  readonly #name: string;
  readonly #values: Record<string, unknown>;

  constructor(name: string, values: Record<string, unknown>) {
    this.#name = name;
    this.#values = values;
  }

  /**
   * The first of `names` that is set; undefined when none is. Empty text is as good as unset.
   *
   * @throws {RangeError} naming the variable when it has a value that cannot be told here
   */
  text(...names: string[]): string | undefined {
    for (const name of names) {
      const text = this.#text(name, { left: MOST_LOOKUPS });
      if (text !== undefined && text !== "") return text;
    }
    return undefined;
  }

  /** Ansible's idea of a truth value; absent is false. Throws as {@linkcode text}. */
  flag(name: string): boolean {
    const word = this.text(name)?.toLowerCase();
    if (word === undefined) return false;
    if (["true", "yes", "on", "y", "t", "1", "1.0"].includes(word)) return true;
    if (["false", "no", "off", "n", "f", "0", "0.0"].includes(word)) return false;
    throw new RangeError(`${name} is neither true nor false`);
  }

  #text(name: string, lookups: { left: number }): string | undefined {
    const value = this.#value(name);
    if (value === undefined || value === null) return undefined;
    if (typeof value === "number" || typeof value === "boolean") return String(value);
    if (typeof value === "object" && "__ansible_unsafe" in value) {
      return String(value.__ansible_unsafe); // text that is no template whatever it looks like
    }
    if (typeof value !== "string") throw new RangeError(`${name} is encrypted, or is no text`);
    if (value.includes("\0")) throw new RangeError(`${name} contains a NUL character`);
    const text = value.replace(/\{\{\s*([A-Za-z_]\w*)\s*\}\}/g, (template, other) => {
      if (lookups.left-- <= 0) return template;
      return this.#text(other, lookups) ?? template;
    });
    if (!/\{[{%#]/.test(text)) return text;
    throw new RangeError(`${name} is a template that only Ansible can evaluate; give it a value`);
  }

  #value(name: string): unknown {
    if (Object.hasOwn(this.#values, name)) return this.#values[name];
    if (name === "inventory_hostname") return this.#name;
    if (name === "inventory_hostname_short") return this.#name.split(".")[0];
    return undefined;
  }
}
