/** `net.dial` of a direct context: connections that the host's SSH server makes. For `host_connection.ts`. */
import type { StartServices } from "../core/context.ts";
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { Call } from "../core/service.ts";
import { ReceiveStream, SendStream } from "../core/stream.ts";
import type { DialledTransport } from "../master/endpoint.ts";
import type { DialArguments } from "../parent/net_service.ts";

type Dial = (host: string, port: number) => Promise<DialledTransport>;

/** The same service as `parent/net_service.ts`, by an endpoint. Open connections end with the endpoint's own. */
export function directNet(dial: Dial): StartServices {
  return () => ({
    services: {
      net: {
        dial: {
          policy: "parents",
          handle: (args, call) => carry(args as unknown as DialArguments, call, dial),
        },
      },
    },
  });
}

async function carry(
  { host, port, path, outgoing, incoming }: DialArguments,
  { router, src }: Call,
  dial: Dial,
): Promise<null> {
  const source = ReceiveStream.accept(router, { peer: src, id: outgoing });
  const sink = SendStream.accept(router, { peer: src, id: incoming });
  let transport: DialledTransport;
  try {
    if (path !== undefined) {
      throw new HoldfastError("connect", "Unix sockets can be reached only where a core runs");
    }
    transport = await dial(host, port);
  } catch (error) {
    const reason = toHoldfastError(error);
    source.cancel(reason);
    sink.abort(reason);
    throw reason;
  }
  void carryOut(source, transport);
  void carryIn(transport, { sink, source });
  return null;
}

async function carryOut(source: ReceiveStream, transport: DialledTransport): Promise<void> {
  try {
    for (let bytes = await source.read(); bytes; bytes = await source.read()) {
      await transport.write(bytes);
    }
    transport.end();
  } catch {
    transport.close();
    source.cancel();
  }
}

async function carryIn(
  transport: DialledTransport,
  { sink, source }: { sink: SendStream; source: ReceiveStream },
): Promise<void> {
  try {
    for (let bytes = await transport.read(); bytes; bytes = await transport.read()) {
      await sink.write(bytes);
    }
    await sink.close();
  } catch (error) {
    transport.close();
    source.cancel();
    sink.abort(toHoldfastError(error));
  }
}
