/**
 * SFTP for a host without an SSH server: OpenSSH's sftp-server where there is one, else this process serves it. Used for
 * this machine's own host, and shipped to contexts behind hops.
 */
import { builtin } from "../core/builtin.ts";
import { BytePipe } from "../core/byte_pipe.ts";
import type { StartServices } from "../core/context.ts";
import type { Child, ExitStatus, ProcessHost, SpawnOptions } from "../core/host.ts";
import { serveSftp } from "./sftp_server.ts";

/** What `process.exec` is asked for beside the command. */
interface SubsystemOptions extends SpawnOptions {
  session?: "shell" | { subsystem: string; programs?: string[] };
}

/** From now on a session of the context can be the subsystem `sftp`. */
export const start: StartServices = (context) => {
  context.host = withSftp(context.host);
  return { services: {} };
};

/** `host`, able to run the subsystem `sftp`. */
export function withSftp<H extends ProcessHost>(host: H): H {
  return {
    ...host,
    async spawn(options: SubsystemOptions) {
      const { session } = options;
      if (typeof session !== "object" || session.subsystem !== "sftp") {
        return await host.spawn(options);
      }
      const program = await findProgram(session.programs ?? []);
      return program ? await host.spawn({ ...options, command: [program] }) : serve(host);
    },
  };
}

async function findProgram(programs: readonly string[]): Promise<string | null> {
  for (const program of programs) {
    const stats = await fs().promises.stat(program).catch(() => null);
    if (stats?.isFile() && stats.mode & 0o111) return program;
  }
  return null;
}

/** As if it were a process: it ends with its input, or when it is told to, and what it does not understand is its error. */
async function serve(host: ProcessHost): Promise<Child> {
  const home = host.home();
  const stats = await fs().promises.stat(home).catch(() => null);
  const [stdin, stdout, stderr] = [new BytePipe(), new BytePipe(), new BytePipe()];
  let running = true;
  let end: (status: ExitStatus) => void = () => {};
  const exit = new Promise<ExitStatus>((resolve) => end = resolve);
  const finish = (status: ExitStatus): void => {
    running = false;
    end(status);
    for (const pipe of [stdin, stdout, stderr]) pipe.end();
  };
  const options = {
    // Where sshd starts who has no home.
    home: stats?.isDirectory() ? home : "/",
    onlyUtf8: host.runtime === "deno",
  };
  serveSftp({ input: stdin, output: stdout }, options).then(
    () => finish({ code: 0, signal: null }),
    async (error) => {
      await stderr.write(new TextEncoder().encode(`holdfast: ${error.message}\n`)).catch(() => {});
      finish({ code: 255, signal: null });
    },
  );
  return {
    pid: 0,
    stdin,
    stdout,
    stderr,
    exit,
    kill: (signal) => finish({ code: null, signal }),
    isAlive: () => running,
    resize() {},
  };
}

function fs(): typeof import("node:fs") {
  return builtin("fs") as typeof import("node:fs");
}
