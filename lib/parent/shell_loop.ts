/** A shell on a target that takes lines of a parent's, where there is no runtime (`provision_shell.ts`). */

/** The line that makes a shell do so. */
export const SHELL_LOOP = `while read -r l;do eval "$l";done`;

/** For the shell of a first stage that found no runtime: passes over the `size` bytes that were for one, and says so. */
export function shellAfter(size: number): string {
  const skip = `dd bs=1 count=${size}`;
  return `{ ${skip}||busybox ${skip};}>/dev/null 2>&1&&echo hf:shell;${SHELL_LOOP}`;
}
