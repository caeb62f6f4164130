/** Every bound on what a peer may send or make us hold, in one place. Sizes are bytes. */
export const LIMITS = {
  /** Payload of one frame. */
  framePayload: 1024 * 1024,
  /** Nesting of a JSON payload. */
  jsonDepth: 32,
  /** One chunk of a stream. */
  chunk: 64 * 1024,
  /** Credit that a stream begins with. */
  window: 1024 * 1024,
  /** Credit that a stream may grow to. */
  maxWindow: 8 * 1024 * 1024,
  /** Frames waiting for one link: those that are not stream data, all together. */
  queuedControl: 16 * 1024 * 1024,
  /** Streams and calls that one context may have open in another. */
  openPerPeer: 4096,
  /** Routes below one link. */
  routesPerLink: 65536,
  /** Noise (banner, motd, profile output) before a greeting. */
  noise: 256 * 1024,
  /** JSON of a greeting. */
  greeting: 64 * 1024,
  /** Source after decompression. */
  source: 8 * 1024 * 1024,
} as const;
