/** Thrown while ssh's command line is read, with what ssh says to it. Caught by `ssh_command_line.ts`. */

export class WrongWords extends Error {
  /** Whether the usage follows. */
  readonly usage: boolean;

  constructor(message: string, { usage = false }: { usage?: boolean } = {}) {
    super(message);
    this.name = "WrongWords";
    this.usage = usage;
  }
}
