/** What a client hands to the daemon of ssh's own command line; `master/ssh_config.ts` resolves it. */

/** ssh's own options, as the user gave them. */
export interface SshOptions {
  /** `-F` */
  configFile?: string;
  /** `-i`, in order */
  identityFiles?: string[];
  /** `-p` */
  port?: number;
  /** `-l`, or the user part of the TARGET */
  user?: string;
  /** `-J` */
  jump?: string;
  /** `-o`, each `Name=value` */
  options?: string[];
}
