/** Two transports joined in memory: a context inside this process (direct targets), and links in tests. */
import { BytePipe } from "./byte_pipe.ts";
import type { Transport } from "./host.ts";

export function transportPair(): [Transport, Transport] {
  const there = new BytePipe();
  const back = new BytePipe();
  const end = (incoming: BytePipe, outgoing: BytePipe): Transport => ({
    read: () => incoming.read(),
    write: (bytes) => outgoing.write(bytes),
    close() {
      incoming.end();
      outgoing.end();
    },
  });
  return [end(back, there), end(there, back)];
}
