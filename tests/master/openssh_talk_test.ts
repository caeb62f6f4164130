/** What is made of OpenSSH's own words: phases, kinds of errors, and questions. */

import { questionFor } from "../../lib/master/openssh_question.ts";
import { OpensshTalk } from "../../lib/master/openssh_talk.ts";
import type { Phase } from "../../lib/master/phase_clock.ts";
import { resolveSsh } from "../../lib/master/ssh_config.ts";
import { assertEquals, assertMatch } from "../support/assert.ts";
import { test } from "../support/test.ts";

const KEX = "debug1: Connecting to h [192.0.2.1] port 22.\r\ndebug1: Connection established.\r\n" +
  "debug1: Remote protocol version 2.0, remote software version OpenSSH_9.2p1 Debian-2\r\n";
const AUTHENTICATE = KEX + "debug1: SSH2_MSG_SERVICE_ACCEPT received\r\n";
const CHANGED = `@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
Offending ED25519 key in /home/ann/.ssh/known_hosts:3
  remove with:
  ssh-keygen -f "/home/ann/.ssh/known_hosts" -R "h"
Host key for h has changed and you have requested strict checking.
Host key verification failed.
`;

const FAILURES: [what: string, said: string, kind: string, message: RegExp][] = [
  [
    "a name",
    "ssh: Could not resolve hostname h: Name or service not known\r\n",
    "resolve",
    /^Cannot resolve ann@h:22: ssh: Could not resolve/,
  ],
  [
    "a closed port",
    "debug1: Connecting to h [::1] port 22.\nssh: connect to host h port 22: Connection refused\n",
    "connect",
    /^Cannot connect to ann@h:22: .*refused\nCheck/,
  ],
  [
    "a silent host",
    "ssh: connect to host h port 22: Connection timed out\n",
    "timeout",
    /timed out\n.*ConnectTimeout/,
  ],
  [
    "a jump host's reason comes before its consequence",
    "debug1: Executing proxy command: exec ssh x\nann@gate: Permission denied (publickey).\n" +
    "kex_exchange_identification: Connection closed by remote host\n",
    "auth",
    /gate: Permission denied/,
  ],
  [
    "a ProxyCommand that fails is no key exchange",
    "debug1: Executing proxy command: exec nc x\nnc: unreachable\n" +
    "kex_exchange_identification: Connection closed by remote host\n",
    "connect",
    /^Cannot connect to ann@h:22: nc: unreachable/,
  ],
  [
    "a server that hangs up",
    KEX + "kex_exchange_identification: read: Connection reset by peer\n",
    "kex",
    /^Cannot exchange keys with ann@h:22: kex_exchange/,
  ],
  [
    "algorithms",
    KEX + "Unable to negotiate with 192.0.2.1 port 22: no matching cipher found.\n",
    "kex",
    /no matching cipher/,
  ],
  [
    "a changed key, with the way out",
    KEX + CHANGED,
    "host_key",
    /^Cannot trust ann@h:22 \(key exchange\): Host key for h has changed.*; Offending ED25519 key in \S+:3\nIf the host really has a new key: ssh-keygen -f/,
  ],
  [
    "a revoked key",
    KEX + "The ED25519 host key for h is marked as revoked.\nHost key verification failed.\n",
    "host_key",
    /marked as revoked/,
  ],
  [
    "a refused key, and what was wrong with it",
    AUTHENTICATE + 'Load key "/k": invalid format\nann@h: Permission denied (publickey).\n',
    "auth",
    /^Cannot authenticate as ann@h:22: ann@h: Permission denied \(publickey\)\.; Load key "\/k"/,
  ],
  [
    "a phase without a word",
    AUTHENTICATE,
    "auth",
    /^Cannot authenticate as ann@h:22: ssh ended without a word/,
  ],
  [
    "a server's text drives no terminal",
    AUTHENTICATE + "\x1b]0;title\x07 Permission denied (publickey).\n",
    "auth",
    /\\x1b\]0;title\\x07/,
  ],
];

for (const [what, said, kind, message] of FAILURES) {
  test(`openssh talk: ${what}`, () => {
    const talk = new OpensshTalk({ description: "ann@h:22", onPhase() {}, onSigning() {} });
    for (const character of said) talk.hear(character);
    const error = talk.failure();
    assertEquals(error.kind, kind);
    assertMatch(error.message, message);
    assertEquals(error.message.split("\n").length, 2);
  });
}

test("openssh talk: the phases, each once, and the server's version", () => {
  const phases: Phase[] = [];
  const logged: string[] = [];
  let signing = 0;
  const talk = new OpensshTalk({
    description: "ann@h:22",
    onPhase: (phase) => phases.push(phase),
    onSigning: () => signing++,
    log: (_level, text) => logged.push(text),
  });
  talk.hear(
    `${AUTHENTICATE}a banner\ndebug1: Server accepts key: /k\ndebug1: Entering interactive session.\n`,
  );
  assertEquals(phases, ["connect", "kex", "authenticate"]);
  assertEquals(signing, 1);
  assertEquals(talk.software, "OpenSSH_9.2p1");
  assertEquals(logged, ["ssh says: a banner"]);
});

const QUESTIONS: [prompt: string, kind: string, host: string, isForPassword: boolean][] = [
  ["ann@db.example's password: ", "password", "ann@db.example:22", true],
  ["(ann@db.example) Password: ", "keyboard_interactive", "ann@db.example:22", true],
  ["(ann@db.example) Verification code: ", "keyboard_interactive", "ann@db.example:22", false],
  ["ann@gate's password: ", "password", "ann@gate", false],
  ["(ann@gate) ann@db.example's password: ", "keyboard_interactive", "ann@gate", false],
  ["Enter passphrase for key '/k': ", "passphrase", "ann@db.example:22", false],
  ["Enter PIN for ED25519-SK key /k: ", "passphrase", "ann@db.example:22", false],
  ["Are you sure (yes/no/[fingerprint])? ", "host_key", "ann@db.example:22", false],
];

test("openssh question: the known password is for the target only, and no PIN is a password", async () => {
  const context = { env: {}, cwd: "/" };
  const options = { configFile: "none", user: "ann" };
  const settings = await resolveSsh("db.example", options, context);
  for (const [prompt, kind, host, isForPassword] of QUESTIONS) {
    const found = questionFor(settings, { prompt, hint: null });
    const echo = kind === "host_key";
    assertEquals(found, { question: { prompt, kind, host, echo } as never, isForPassword }, prompt);
  }
  const touch = { prompt: "Confirm user presence for key \x1b[0m", hint: "none" as const };
  const { question } = questionFor(settings, touch);
  assertEquals([question.hint, question.echo], ["none", true]);
  assertEquals(question.prompt, "Confirm user presence for key \\x1b[0m");
});
