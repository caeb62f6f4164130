/** What a session is to be, from command line and ssh_config. */
import { planSession, type SessionPlan } from "../../lib/dropin/session_plan.ts";
import { parseSshCommandLine } from "../../lib/dropin/ssh_command_line.ts";
import { assert, assertEquals, assertThrows } from "../support/assert.ts";
import { test } from "../support/test.ts";

interface Circumstances {
  keywords?: Record<string, string[]>;
  onTerminal?: boolean;
  environment?: Record<string, string>;
}

function plan(words: string, circumstances: Circumstances = {}): SessionPlan {
  const request = parseSshCommandLine(words.split(" "));
  assert(request.kind === "request", JSON.stringify(request));
  return planSession(request, {
    keywords: {},
    onTerminal: true,
    environment: {},
    ...circumstances,
  });
}

test("session plan: what runs", () => {
  const remote = { remotecommand: ["echo 1"] };
  const cases: [words: string, keywords: Record<string, string[]>, work: unknown][] = [
    ["h", {}, { kind: "shell" }],
    ["h a  b", {}, { kind: "command", line: "a  b" }],
    ["-s h sftp", {}, { kind: "subsystem", name: "sftp" }],
    ["-N h", {}, { kind: "none" }],
    ["-W a:1 h", {}, { kind: "stdio", endpoint: { host: "a", port: 1 } }],
    ["h", remote, { kind: "command", line: "echo 1" }],
    ["h a", { remotecommand: ["none"] }, { kind: "command", line: "a" }],
    ["h", { sessiontype: ["none"] }, { kind: "none" }],
    ["h sftp", { sessiontype: ["subsystem"] }, { kind: "subsystem", name: "sftp" }],
  ];
  for (const [words, keywords, work] of cases) {
    assertEquals<unknown>(plan(words, { keywords }).work, work, words);
  }
  const both = assertThrows(() => plan("h a", { keywords: remote }), Error);
  assertEquals(both.message, "Cannot execute command-line and remote command.");
  const nothing = assertThrows(() => plan("-f h"), Error);
  assertEquals(nothing.message, "Cannot fork into background without a command to execute.");
});

test("session plan: who gets a terminal", () => {
  const cases: [words: string, circumstances: Circumstances, terminal: boolean, lacks: boolean][] =
    [
      ["h", {}, true, false],
      ["h", { onTerminal: false }, false, true],
      ["h a", {}, false, false],
      ["-t h a", {}, true, false],
      ["-t h a", { onTerminal: false }, false, true],
      ["-tt h a", { onTerminal: false }, true, false],
      ["-n -t h a", {}, false, true],
      ["-T h", {}, false, false],
      ["-N h", {}, false, false],
      ["h a", { keywords: { requesttty: ["true"] } }, true, false],
      ["h", { keywords: { requesttty: ["false"] } }, false, false],
      ["-T h a", { keywords: { requesttty: ["force"] } }, false, false],
      ["h a", { keywords: { requesttty: ["force"] }, onTerminal: false }, true, false],
      ["-s h sftp", {}, false, false],
    ];
  for (const [words, circumstances, terminal, lacks] of cases) {
    const { terminal: given, lacksTerminal } = plan(words, circumstances);
    assertEquals(
      [given, lacksTerminal],
      [terminal, lacks],
      `${words} ${JSON.stringify(circumstances)}`,
    );
  }
});

test("session plan: SendEnv and SetEnv", () => {
  const environment = { LANG: "C", LC_ALL: "x", LC: "no", GIT_PROTOCOL: "version=2", "A+B": "1" };
  const env = (keywords: Record<string, string[]>) => plan("h a", { keywords, environment }).env;
  assertEquals(env({}), {});
  assertEquals(env({ sendenv: ["LANG", "LC_*"] }), { LANG: "C", LC_ALL: "x" });
  assertEquals(env({ sendenv: ["L?", "GIT_PROTOCOL"], setenv: ["LC=yes", "X=a=b c"] }), {
    LC: "yes",
    GIT_PROTOCOL: "version=2",
    X: "a=b c",
  });
});

test("session plan: input, background, agent, escape, log level", () => {
  const of = (words: string, keywords: Record<string, string[]> = {}) => {
    const { input, background, agent, escape, level } = plan(words, { keywords });
    return [input, background, agent, escape, level];
  };
  assertEquals(of("h a"), [true, false, false, "~", "INFO"]);
  assertEquals(of("-f h a"), [false, true, false, "~", "INFO"]);
  assertEquals(of("-nA -e none -q h a"), [false, false, true, null, "QUIET"]);
  assertEquals(of("-a h a", { forwardagent: ["yes"] }), [true, false, false, "~", "INFO"]);
  const configured = {
    forwardagent: ["$SOCK"],
    escapechar: ["none"],
    loglevel: ["DEBUG"],
    stdinnull: ["yes"],
    forkafterauthentication: ["yes"],
  };
  assertEquals(of("h a", configured), [false, true, true, null, "DEBUG1"]);
});
