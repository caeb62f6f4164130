/**
 * The control sockets of a daemon: one for each host that it holds a connection to, where plain ssh finds it. Used by the
 * daemon, on Linux only.
 */
import { controlDirectory } from "../rendezvous/control_path.ts";
import type { RuntimeDir } from "../rendezvous/runtime_dir.ts";
import { ControlListener, type ControlSocket } from "./control_socket.ts";
import { type MuxWay, serveMux } from "./mux_session.ts";
import { Readiness } from "./readiness.ts";

/** What the owner of the connections gives for each of ssh's. */
export type Way = Pick<MuxWay, "router" | "forwardsAgent" | "open" | "end"> & AsyncDisposable;

interface Offer {
  listener: ControlListener;
  closed: Promise<unknown>;
  /** Links to it. */
  names: Set<string>;
}

export class MuxSockets {
  readonly #directory: string;
  readonly #offers: Map<string, Offer> = new Map();
  readonly #resizers: Set<() => void> = new Set();
  #readiness: Readiness | null = null;

  /** What an earlier daemon left is removed. */
  constructor(dir: RuntimeDir) {
    this.#directory = controlDirectory(dir);
    remove(this.#directory);
  }

  /**
   * Listens at a path (see `isControlPath`) until `closed` resolves, in the place of who did before; `meet` is called for
   * each ssh that comes. Throws `io` where nothing can listen there.
   */
  offer(
    path: string,
    { closed, meet }: { closed: Promise<unknown>; meet: (end: () => void) => Way },
  ): void {
    if (this.#offers.get(path)?.closed === closed) return;
    this.withdraw(path);
    if (!this.#readiness) {
      this.#readiness = new Readiness();
      Deno.addSignalListener("SIGWINCH", () => this.#resizers.forEach((listener) => listener()));
    }
    const readiness = this.#readiness;
    Deno.mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const onAccept = async (socket: ControlSocket) => {
      await using way = meet(() => socket.close());
      const onResize = (listener: () => void) => {
        this.#resizers.add(listener);
        return () => void this.#resizers.delete(listener);
      };
      const { router, forwardsAgent } = way;
      const open: Way["open"] = (purpose, signal) => way.open(purpose, signal);
      const end: Way["end"] = (how) => way.end(how);
      await serveMux(socket, { router, forwardsAgent, open, end, readiness, onResize });
    };
    const listener = new ControlListener(path, { readiness, onAccept });
    const offer = { listener, closed, names: new Set<string>() };
    this.#offers.set(path, offer);
    void closed.then(() => {
      if (this.#offers.get(path) === offer) this.withdraw(path);
    });
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
    // As long as we live: who was killed has left its sockets.
    link(`/proc/${Deno.pid}`, `${this.#directory}/daemon`);
    link(path, `${names}/${name}`);
    offer.names.add(`${names}/${name}`);
  }

  /** Nobody finds it any more; what is under way goes on. */
  withdraw(path: string): void {
    const offer = this.#offers.get(path);
    this.#offers.delete(path);
    offer?.listener.close();
    for (const name of offer?.names ?? []) unlink(name);
  }

  withdrawAll(): void {
    for (const path of [...this.#offers.keys()]) this.withdraw(path);
    remove(this.#directory);
  }
}

/** In the place of an earlier one; it may lead to nowhere once its socket has gone. */
function link(to: string, path: string): void {
  unlink(path);
  Deno.symlinkSync(to, path);
}

function unlink(path: string): void {
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
