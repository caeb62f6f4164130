/** Functions that the tests of calls call in contexts; imports one of everything that can travel. */
import { basename } from "node:path";
import type { Sender } from "../../../lib/mod.ts";
import SSHConfig from "ssh-config";
import { HoldfastError, kinds } from "./errors.ts";
import settings from "./settings.json" with { type: "json" };

export function add(a: number, b: number): number {
  return a + b;
}

export function echo<T>(...values: T[]): T[] {
  return values;
}

export async function whoami(): Promise<{ pid: number; uid: number; runtime: string }> {
  const process = await import("node:process");
  const runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
  return { pid: process.pid, uid: process.getuid!(), runtime };
}

/** Something of every import, the dynamic one included. */
export async function imported(): Promise<unknown[]> {
  const { late } = await import("./late.ts");
  const config = SSHConfig.parse("Host a\n  Port 1\n");
  return [
    basename("/a/b"),
    config.compute("a").Port,
    kinds(),
    settings.answer,
    late,
  ];
}

export function ownError(): string {
  return new HoldfastError("mine").where;
}

export async function fail(what: string): Promise<never> {
  await Promise.resolve();
  throw Object.assign(new RangeError(what, { cause: new Error("below") }), { code: "E42" });
}

export function failOddly(): never {
  throw { odd: true };
}

export function unfit(): unknown {
  return { items: [1, 2, 3, { cb() {} }] };
}

let pulled = 0;
let ended = 0;

export async function* count(to: number): AsyncGenerator<{ i: number }> {
  try {
    for (let i = 0; i < to; i++) {
      pulled++;
      yield { i };
    }
  } finally {
    ended++;
  }
}

export async function* blocks(size: number): AsyncGenerator<Uint8Array> {
  pulled = 0;
  try {
    for (;;) {
      pulled++;
      yield new Uint8Array(size);
    }
  } finally {
    ended++;
  }
}

export async function* failing(): AsyncGenerator<number> {
  yield 1;
  throw new TypeError("after one");
}

export function state(): { pulled: number; ended: number } {
  return { pulled, ended };
}

export async function sum(numbers: AsyncIterable<number>): Promise<number> {
  let total = 0;
  for await (const number of numbers) total += number;
  return total;
}

let aborted = 0;

export async function untilAborted(signal: AbortSignal, started: Sender<string>): Promise<void> {
  await started.send("started");
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  aborted++;
}

export function abortedCalls(): number {
  return aborted;
}

export async function events(to: Sender<number>, count: number): Promise<string> {
  for (let i = 0; i < count; i++) await to.send(i);
  return "sent";
}

const notes: string[] = [];

export async function note(text: string): Promise<string[]> {
  await new Promise((resolve) => setTimeout(resolve, text.length));
  notes.push(text);
  return [...notes];
}

export function speak(text: string): void {
  console.log("said", { text });
  console.error("alarmed");
  Promise.reject(new Error(`unheard ${text}`));
}

export function wait(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
}
