/** What the call rows call. */

export function noop(): void {}
