/** placeholder until the methods land */
import type { Child, Host } from "../core/host.ts";
import { HoldfastError } from "../core/errors.ts";
export interface Hop {
  method: string;
  argument?: string;
  label: string;
}
export interface OpenHopOptions {
  line: string;
  deadline: number;
  signal: AbortSignal;
  ask(question: { prompt: string; attempt: number }): Promise<string | null>;
}
export async function openHop(
  host: Host,
  { method, argument, label }: Hop,
  { line }: OpenHopOptions,
): Promise<Child> {
  const words: Record<string, string[]> = {
    local: ["sh", "-c", line],
    sudo: ["sudo", "-n", "-H", "-u", argument ?? "root", "--", "sh", "-c", line],
  };
  if (!words[method]) throw new HoldfastError("usage", `${label}: not yet`);
  return await host.spawn({ command: words[method] });
}
