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
  /** Frames that are not stream data and wait for one link, of one authority. */
  queuedControl: 16 * 1024 * 1024,
  /** Stream data waiting for one link, all together, when a child adds to it. */
  queuedBulk: 64 * 1024 * 1024,
  /** Streams and calls that one context may have open in another, together. */
  openPerPeer: 4096,
  /** Routes below one link. */
  routesPerLink: 4096,
  /** Frames against the rules (forged, misdirected routes) before a child's link is cut. */
  dropped: 1000,
  /** Modules that one child may have asked for and not yet got. */
  modulesWanted: 256,
  /** Noise (banner, motd, profile output) before a greeting. */
  noise: 256 * 1024,
  /** JSON of a greeting. */
  greeting: 64 * 1024,
  /** Arguments or the result of a called function, encoded; also one item of an iterable or a channel. */
  value: 64 * 1024 * 1024,
  /** Nesting of such a value. */
  valueDepth: 256,
  /** Source after decompression. */
  source: 8 * 1024 * 1024,
} as const;
