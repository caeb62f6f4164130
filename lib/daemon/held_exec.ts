/**
 * `holdfast exec` by the system's ssh: the head of the built file sees that a target is held, and has ssh ask for the
 * session at one control socket for all targets. What we would be told by a client of our own comes as variables
 * (`scripts/build/head.sh`). One for the daemon.
 */
import { type RemoteProcess, statusOf } from "../client/remote_process.ts";
import { SENT_ENVIRONMENT } from "../client/session.ts";
import { HoldfastError } from "../core/errors.ts";
import type { Router } from "../core/router.ts";
import type { Deed, Place } from "../mux/mux_session.ts";
import type { Met, Way } from "../mux/mux_sockets.ts";
import { parentOf, type Watch, watchProcess } from "../mux/process_end.ts";
import type { OwnClient } from "./plain_ssh.ts";

/** What `holdfast exec` ends with when its output goes nowhere: 128 and that signal's number. */
const SIGPIPE = 141;

/**
 * - `HOLDFAST_EXEC`: the target; `HOLDFAST_CONFIG`: the file of `-F`
 * - `HOLDFAST_HEAD`: the process that waits for ssh and is the client in the user's eyes
 * - `HOLDFAST_SIGNAL`: `INT 4711`, for the command of the ssh with that id
 */
type Variables = Record<string, string>;

export class HeldExec {
  readonly #router: Router;
  readonly #client: (end: () => void) => OwnClient;
  /** By the process that asked for it. */
  readonly #running: Map<number, RemoteProcess> = new Map();

  constructor(
    { router, client }: { router: Router; client: (end: () => void) => OwnClient },
  ) {
    this.#router = router;
    this.#client = client;
  }

  meet({ peer, readiness, drop, stop }: Met): Way {
    const { open, release } = this.#client(stop);
    let head: Watch | null = null;
    return {
      router: this.#router,
      place: (variables) => {
        if (variables.HOLDFAST_SIGNAL) return this.#signal(variables.HOLDFAST_SIGNAL);
        const parent = Number(variables.HOLDFAST_HEAD);
        if (parentOf(peer) !== parent) throw new HoldfastError("cancelled", "the client is gone");
        head = watchProcess(parent, readiness);
        void head?.ended.then(drop);
        return placeOf(variables, open);
      },
      onStart: (process) => void this.#running.set(peer, process),
      end: () => {},
      [Symbol.asyncDispose]: async () => {
        this.#running.delete(peer);
        head?.stop();
        release();
      },
    };
  }

  /** Status 0: the command gets it; 1: there is none yet. */
  #signal(text: string): Deed {
    const [, name, peer] = /^([A-Z0-9]+) (\d+)$/.exec(text) ?? [];
    return {
      deed: () => {
        const process = this.#running.get(Number(peer));
        process?.kill(name);
        return process ? 0 : 1;
      },
    };
  }
}

function placeOf(variables: Variables, open: OwnClient["open"]): Place {
  const { HOLDFAST_EXEC: target, HOLDFAST_CONFIG: configFile, PWD: cwd = "/" } = variables;
  const env: Record<string, string> = {};
  for (const name of SENT_ENVIRONMENT) if (name in variables) env[name] = variables[name];
  const ssh = configFile ? { configFile } : {};
  return {
    forwardsAgent: false,
    env: {},
    statusOf,
    readerGone: SIGPIPE,
    lineEnd: "\n",
    open: async (_purpose, signal) =>
      (await open({ target, ssh, env, cwd, purpose: "command" }, signal)).context,
  };
}
