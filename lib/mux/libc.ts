/**
 * The calls of Linux's C library that Deno has none for: sockets that hand over descriptors, and descriptors that were
 * handed over. For this room only.
 */

const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept4: { parameters: ["i32", "pointer", "pointer", "i32"], result: "i32" },
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  readInThread: {
    name: "read",
    parameters: ["i32", "buffer", "usize"],
    result: "i32",
    nonblocking: true,
  },
  writeInThread: {
    name: "write",
    parameters: ["i32", "buffer", "usize"],
    result: "i32",
    nonblocking: true,
  },
  close: { parameters: ["i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  /** pidfd_open has no function of its own in older libraries. */
  syscall: { parameters: ["i64", "i64", "i64"], result: "i32" },
  ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32", nonblocking: true },
  __errno_location: { parameters: [], result: "pointer" },
} as const;

/** From Linux's headers, alike on x86-64 and arm64. */
export const AF_UNIX = 1;
export const SOCK_STREAM = 1;
export const SOL_SOCKET = 1;
export const SCM_RIGHTS = 1;
export const SO_PEERCRED = 17;
export const SYS_PIDFD_OPEN = 434n;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_CMSG_CLOEXEC = 0x40000000;
export const O_WRONLY = 1;
export const O_RDWR = 2;
/** Where O_WRONLY and O_RDWR are among the flags. */
export const O_ACCMODE = 3;
export const O_NOCTTY = 0o400;
/** Also SOCK_NONBLOCK and EFD_NONBLOCK. */
export const O_NONBLOCK = 0o4000;
/** Also SOCK_CLOEXEC, EFD_CLOEXEC and EPOLL_CLOEXEC. */
export const O_CLOEXEC = 0o2000000;
export const F_GETFL = 3;
export const EAGAIN = 11;
export const EPIPE = 32;
export const ECONNRESET = 104;
export const TIOCGWINSZ = 0x5413n;

type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let loaded: Libc | undefined;

/** Throws where there is no such library. */
export function libc(): Libc {
  return loaded ??= Deno.dlopen("libc.so.6", SYMBOLS).symbols;
}

/** Of the call just before, on this thread. */
export function errno(): number {
  return new Deno.UnsafePointerView(libc().__errno_location()!).getInt32();
}

/** As C has it. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}
