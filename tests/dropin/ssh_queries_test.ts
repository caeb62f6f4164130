/** The drop-in's lists of algorithms are those of the transport. */
import { SSH_QUERIES } from "../../lib/dropin/ssh_queries.ts";
import { SUPPORTED } from "../../lib/master/ssh_algorithms.ts";
import { assertEquals } from "../support/assert.ts";
import { test } from "../support/test.ts";

test("ssh queries: list what the transport can do", () => {
  const { cipher, mac, kex, key } = SSH_QUERIES;
  const { cipher: ciphers, hmac, kex: exchanges, serverHostKey } = SUPPORTED;
  const sorted = (names: readonly string[]) => [...names].sort();
  assertEquals(
    [cipher, mac, kex, key].map(sorted),
    [ciphers, hmac, exchanges, serverHostKey].map(sorted),
  );
});
