/** ssh's usage, made from the table of its options. Loaded only when it is shown. */
import { SSH_LETTERS } from "./ssh_letters.ts";

const WIDTH = 80;
const INDENT = " ".repeat("usage: ssh ".length);

export function sshUsage(): string {
  const letters = Object.entries(SSH_LETTERS);
  const flags = letters.filter(([letter, { value }]) => value === undefined && letter !== "1");
  const words = [
    `[-${flags.map(([letter]) => letter).join("")}]`,
    ...letters.flatMap(([letter, { value }]) =>
      value === undefined ? [] : [`[-${letter} ${value}]`]
    ),
    "destination [command [argument ...]]",
  ];
  const lines = ["usage: ssh"];
  for (const word of words) {
    if (lines.at(-1)!.length + 1 + word.length < WIDTH) lines.push(`${lines.pop()} ${word}`);
    else lines.push(INDENT + word);
  }
  return lines.join("\n");
}
