/**
 * The control sockets of a daemon: one for each host that it holds a connection to, where plain ssh finds it. Used by the
 * daemon, on Linux only.
 */
import { controlDirectory } from "../rendezvous/control_path.ts";
import type { RuntimeDir } from "../rendezvous/runtime_dir.ts";
import { VERSION } from "../rendezvous/version.ts";
import { ControlListener, type ControlSocket } from "./control_socket.ts";
import { type MuxWay, serveMux } from "./mux_session.ts";
import { Readiness } from "./readiness.ts";

/** What the owner of the connections gives for each of ssh's. */
export type Way = Pick<MuxWay, "router" | "place" | "end" | "onStart"> & AsyncDisposable;

/** Of one that ssh has made. */
export interface Met {
  /** The process that made it. */
  peer: number;
  /** For `watchProcess`. */
  readiness: Readiness;
  /** Ends it as if ssh had gone. */
  drop(): void;
  /** Ends it since the daemon stops. */
  stop(): void;
}

interface Offer {
  key: string;
  listener: ControlListener;
  closed: Promise<unknown>;
  /** Links to it. */
  names: Set<string>;
}

export class MuxSockets {
  readonly #directory: string;
  readonly #offers: Map<string, Offer> = new Map();
  /** Until when each is one. */
  readonly #marks: Map<string, Promise<unknown>> = new Map();
  readonly #resizers: Set<() => void> = new Set();
  #readiness: Readiness | null = null;

  /** What an earlier daemon left is removed. */
  constructor(dir: RuntimeDir) {
    this.#directory = controlDirectory(dir);
    remove(this.#directory);
  }

  /**
   * Listens at a path (see `isControlPath`) until `closed` resolves, in the place of another with the same `key`; `meet` is
   * called for each ssh that comes. False when one with another key is there: ssh cannot tell them apart, as where one host
   * is reached in two ways. Throws `io` where nothing can listen there.
   */
  offer(
    path: string,
    { key, closed, meet }: { key: string; closed: Promise<unknown>; meet: (met: Met) => Way },
  ): boolean {
    const before = this.#offers.get(path);
    if (before) {
      if (before.closed === closed || before.key !== key) return before.key === key;
      this.withdraw(path);
    }
    if (!this.#readiness) {
      this.#readiness = new Readiness();
      Deno.addSignalListener("SIGWINCH", () => this.#resizers.forEach((listener) => listener()));
    }
    const readiness = this.#readiness;
    this.#prepare();
    const onAccept = async (socket: ControlSocket) => {
      let stops = false;
      const { peer } = socket;
      const drop = () => socket.close();
      const stop = () => {
        stops = true;
        socket.close();
      };
      await using way = meet({ peer, readiness, drop, stop });
      await serveMux(socket, {
        router: way.router,
        readiness,
        place: (env) => way.place(env),
        end: (how) => way.end(how),
        onStart: (process) => way.onStart?.(process),
        onResize: (listener) => {
          this.#resizers.add(listener);
          return () => void this.#resizers.delete(listener);
        },
        isStopping: () => stops,
      });
    };
    const listener = new ControlListener(path, { readiness, onAccept });
    this.#offers.set(path, { key, listener, closed, names: new Set() });
    void closed.then(() => this.withdraw(path, { closed }));
    return true;
  }

  /**
   * For the head of the built file (`scripts/build/head.sh`): that there is a socket for a destination as it is typed after
   * ssh, with `-F configFile` where that is given, and which `program` is ssh.
   */
  name(
    path: string,
    { name, configFile = "", program }: { name: string; configFile?: string; program: string },
  ): void {
    const offer = this.#offers.get(path);
    if (!offer || name.includes("/")) return;
    const names = `${this.#directory}/to${configFile}`;
    Deno.mkdirSync(names, { recursive: true, mode: 0o700 });
    link(program, `${this.#directory}/program`);
    link(path, `${names}/${name}`);
    offer.names.add(`${names}/${name}`);
  }

  /** For that head, too: that what this target's words lead to is held, until `closed` resolves. */
  mark(
    target: string,
    { configFile, closed, program }: {
      configFile?: string;
      closed: Promise<unknown>;
      program: string;
    },
  ): void {
    if (target.includes("/")) return;
    link(program, `${this.#directory}/program`);
    const marks = `${this.#directory}/held${configFile ?? ""}`;
    Deno.mkdirSync(marks, { recursive: true, mode: 0o700 });
    const mark = `${marks}/${target}`;
    Deno.writeTextFileSync(mark, "");
    this.#marks.set(mark, closed);
    void closed.then(() => {
      if (this.#marks.get(mark) !== closed) return;
      this.#marks.delete(mark);
      removeFile(mark);
    });
  }

  /** Nobody finds it any more; what is under way goes on. With `closed` only if it is that one's. */
  withdraw(path: string, { closed }: { closed?: Promise<unknown> } = {}): void {
    const offer = this.#offers.get(path);
    if (!offer || (closed && offer.closed !== closed)) return;
    this.#offers.delete(path);
    offer.listener.close();
    for (const name of offer.names) removeFile(name);
  }

  /** With whose sockets these are: a process, and its version. */
  #prepare(): void {
    Deno.mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    Deno.writeTextFileSync(`${this.#directory}/daemon`, `${Deno.pid} ${VERSION}\n`);
  }

  withdrawAll(): void {
    for (const path of [...this.#offers.keys()]) this.withdraw(path);
    remove(this.#directory);
  }
}

/** In the place of an earlier one, at once: somebody may be about to follow it. It may lead to nowhere in the end. */
function link(to: string, path: string): void {
  try {
    if (Deno.readLinkSync(path) === to) return;
  } catch {
    // There is none.
  }
  const made = `${path}.${Deno.pid}`;
  removeFile(made);
  Deno.symlinkSync(to, made);
  Deno.renameSync(made, path);
}

function removeFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // There was none.
  }
}

function remove(directory: string): void {
  try {
    Deno.removeSync(directory, { recursive: true });
  } catch {
    // It is not there, or it is not ours to tidy; then nothing can listen there either, and that is told.
  }
}
