/** Whether a target without a runtime is given one: `--provision`, HOLDFAST_PROVISION, `provision` in the hosts file. */

export type ProvisionPolicy = "auto" | "never" | "always";

export const PROVISION_POLICIES: readonly ProvisionPolicy[] = ["auto", "never", "always"];

/** For options and files. Throws a RangeError that says what it must be. */
export function provisionPolicy(text: string): ProvisionPolicy {
  const policy = PROVISION_POLICIES.find((known) => known === text);
  if (policy === undefined) {
    throw new RangeError(
      `${JSON.stringify(text.slice(0, 120))} is not one of ${PROVISION_POLICIES.join(", ")}`,
    );
  }
  return policy;
}
