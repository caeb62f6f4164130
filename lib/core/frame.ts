/** One message as bytes. Used by everything that speaks the wire; does no I/O. */
import { HEADER_SIZE, MAGIC } from "./constants.ts";

/** Header fields; each is an unsigned 32-bit number. */
export interface Header {
  dst: number;
  src: number;
  /** The context under whose authority the message acts. */
  auth: number;
  handle: number;
  replyTo: number;
}

export interface Frame extends Header {
  payload: Uint8Array;
  /** The whole frame, header and payload, for forwarding as it came. */
  bytes: Uint8Array;
}

const EMPTY = new Uint8Array(0);

/** Builds a frame; the payload is copied. */
export function makeFrame(header: Header, payload: Uint8Array = EMPTY): Frame {
  const bytes = new Uint8Array(HEADER_SIZE + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, MAGIC);
  view.setUint32(2, header.dst);
  view.setUint32(6, header.src);
  view.setUint32(10, header.auth);
  view.setUint32(14, header.handle);
  view.setUint32(18, header.replyTo);
  view.setUint32(22, payload.length);
  bytes.set(payload, HEADER_SIZE);
  return { ...header, payload: bytes.subarray(HEADER_SIZE), bytes };
}

/** Views `bytes`, which must be one whole frame with a checked header. */
export function viewFrame(bytes: Uint8Array): Frame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_SIZE);
  return {
    dst: view.getUint32(2),
    src: view.getUint32(6),
    auth: view.getUint32(10),
    handle: view.getUint32(14),
    replyTo: view.getUint32(18),
    payload: bytes.subarray(HEADER_SIZE),
    bytes,
  };
}

/** Changes a frame's authority in place, in the fields and in the bytes. */
export function stampAuth(frame: Frame, auth: number): void {
  frame.auth = auth;
  new DataView(frame.bytes.buffer, frame.bytes.byteOffset, HEADER_SIZE).setUint32(10, auth);
}
