/**
 * A small SSH server on loopback for `deno task demo`: ssh2's own, for one key, running commands as the current
 * user. It shows Holdfast without a host; it is no server for anything else.
 */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { type AddressInfo, createServer } from "node:net";
// @ts-types="@types/ssh2"
import ssh2, { type Connection, type Session } from "ssh2";

export interface DemoServer extends AsyncDisposable {
  port: number;
  /** Its known_hosts line for 127.0.0.1. */
  hostKeyLine: string;
  /** Connections and sessions it has seen. */
  seen: { connections: number; sessions: number };
}

/** Starts it on a free port; `clientKey` is the only public key (OpenSSH text) that may log in. */
export async function startDemoServer({ clientKey }: { clientKey: string }): Promise<DemoServer> {
  const hostKey = ssh2.utils.generateKeyPairSync("ed25519");
  const allowed = ssh2.utils.parseKey(clientKey);
  if (allowed instanceof Error) throw allowed;
  const allowedKey = (Array.isArray(allowed) ? allowed[0] : allowed).getPublicSSH();
  const seen = { connections: 0, sessions: 0 };
  const connections = new Set<Connection>();
  const children = new Set<ChildProcess>();

  const server = new ssh2.Server({ hostKeys: [hostKey.private] }, (connection) => {
    seen.connections++;
    connections.add(connection);
    connection.on("close", () => connections.delete(connection));
    connection.on("error", () => {});
    connection.on("authentication", (context) => {
      const known = context.method === "publickey" && allowedKey.equals(context.key.data);
      if (!known) return context.reject(["publickey"]);
      // A first question carries no signature; the answer to the second one is checked here.
      if (context.signature) {
        const key = ssh2.utils.parseKey(clientKey);
        const parsed = Array.isArray(key) ? key[0] : key;
        if (parsed instanceof Error || !context.blob) return context.reject();
        if (parsed.verify(context.blob, context.signature, context.hashAlgo) !== true) {
          return context.reject();
        }
      }
      context.accept();
    });
    connection.on("session", (accept) => {
      seen.sessions++;
      serveSession(accept(), children);
    });
  });
  // Sockets of our own, because a small answer must not wait for the acknowledgement of the one before.
  const listener = createServer((socket) => server.injectSocket(socket.setNoDelay(true)));
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as AddressInfo;
  return {
    port,
    seen,
    hostKeyLine: `[127.0.0.1]:${port} ${hostKey.public.split(" ").slice(0, 2).join(" ")}\n`,
    async [Symbol.asyncDispose]() {
      for (const connection of connections) connection.end();
      for (const child of children) child.kill("SIGTERM");
      await new Promise<void>((resolve) => listener.close(() => resolve()));
    },
  };
}

function serveSession(session: Session, children: Set<ChildProcess>): void {
  session.on("exec", (accept, _reject, { command }) => {
    const channel = accept();
    const shell = process.env.SHELL || "/bin/sh";
    const child = spawn(shell, ["-c", command], { cwd: process.env.HOME });
    children.add(child);
    channel.pipe(child.stdin);
    child.stdout.pipe(channel, { end: false });
    child.stderr.pipe(channel.stderr, { end: false });
    child.stdin.on("error", () => {});
    child.on("close", (code, signal) => {
      children.delete(child);
      if (signal) channel.exit(signal.replace(/^SIG/, ""));
      else channel.exit(code ?? 255);
      channel.end();
    });
    channel.on("close", () => child.kill("SIGHUP"));
  });
}
