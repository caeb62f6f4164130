/**
 * Some parents (rsync) hand out standard streams that do not block, and Deno fails or loses bytes of a write that such a
 * stream takes in part. So they are made blocking again, by whatever carries a command's or a file's bytes.
 */

/** From Linux's fcntl.h. */
const O_NONBLOCK = 0o4000;
const F_SETFL = 4;

/** Makes standard input, output and error blocking, where they are not; does nothing but on Linux. */
export function makeBlocking(): void {
  for (const descriptor of [0, 1, 2]) {
    const flags = flagsOf(descriptor);
    if (flags & O_NONBLOCK) setFlags(descriptor, flags & ~O_NONBLOCK);
  }
}

function flagsOf(descriptor: number): number {
  try {
    const info = Deno.readTextFileSync(`/proc/self/fdinfo/${descriptor}`);
    return Number.parseInt(/^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? "0", 8);
  } catch {
    return 0;
  }
}

function setFlags(descriptor: number, flags: number): void {
  const libc = Deno.dlopen("libc.so.6", {
    fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  });
  libc.symbols.fcntl(descriptor, F_SETFL, flags);
  libc.close();
}
