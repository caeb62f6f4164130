/** The wire's fixed numbers. `PROTOCOL.md` explains them; a test pins each value. */

/** First two bytes of every frame. */
export const MAGIC = 0x4d49;
/** Bytes before a frame's payload. */
export const HEADER_SIZE = 26;

export const GET_MODULE = 100;
export const CALL_FUNCTION = 101;
export const FORWARD_LOG = 102;
export const ADD_ROUTE = 103;
export const DEL_ROUTE = 104;
export const ALLOCATE_ID = 105;
export const SHUTDOWN = 106;
export const LOAD_MODULE = 107;
export const FORWARD_MODULE = 108;
export const DETACHING = 109;
export const CALL_SERVICE = 110;

/** `reply_to` of a stream's raw bytes. */
export const IS_DATA = 998;
/** `reply_to` of a message that ends a wait: its payload is a wire error. */
export const IS_DEAD = 999;
/** Handles from here on are allocated at run time. */
export const FIRST_DYNAMIC_HANDLE = 1000;
/** Set in a handle that was allocated by the other end: it is looked up together with `src_id`. */
export const MIRROR = 0x80000000;

export const PROTOCOL_VERSION = 1;
/** What a link begins with, in both directions: no text can contain it, and a terminal would mangle it. */
export const GREETING_MAGIC: Uint8Array = Uint8Array.of(
  0xff,
  0x00,
  0x48,
  0x4f,
  0x4c,
  0x44,
  0x0d,
  0x0a,
);
/** Magic, version u16, sha256 of the core, length u32 of the JSON that follows. */
export const GREETING_HEADER_SIZE: number = 8 + 2 + 32 + 4;

/** Context id of the root of the tree. */
export const ROOT_ID = 0;
