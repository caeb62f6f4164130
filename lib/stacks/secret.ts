/** A password on its way to authentication. For names of stacks, whose data is otherwise there to be shown. */

/** Shows as `[secret]` and is absent from JSON, so that no log, error or answer contains it by accident. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The password itself, for the one place that types it. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): undefined {
    return undefined;
  }
}
