/** Thrown when only the system's ssh can carry out a command line; `ssh_command.ts` then lets it, where it can. */
export class BeyondUs extends Error {
  /** The option that needs it, as it was written. */
  readonly why: string;

  constructor(why: string) {
    super(why);
    this.why = why;
  }
}
