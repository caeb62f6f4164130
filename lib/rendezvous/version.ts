/** The release of this checkout. Client and daemon compare it when they meet; `--version` prints it. */

export const VERSION = "0.1.0";
