/**
 * ssh2 forgets a channel whose request the server refused (a subsystem that it does not have) without closing it, and the
 * server goes on counting it as a session. Used by `ssh_connection.ts`.
 */
import type { EventEmitter } from "node:events";
import type { Ssh2Client } from "./ssh2.ts";

/** What is looked at of ssh2's own. */
interface Ssh2Channel extends EventEmitter {
  type: string;
  /** What runs in it: known once the server has agreed. */
  subtype: string | undefined;
  /** Requests that wait for their answer. */
  _callbacks: unknown[];
  destroy(): void;
  /** Of those that are streams: their end is told only when all has been read. */
  resume?(): void;
}

/** Closes them; resolves when the server has, too. */
export async function closeRefusedChannels(client: Ssh2Client): Promise<void> {
  const { _chanMgr: manager } = client as unknown as {
    _chanMgr?: { _channels: Record<string, Ssh2Channel> };
  };
  const refused = Object.values(manager?._channels ?? {}).filter((channel) =>
    (channel.type === "session" || channel.type === "sftp") && channel.subtype === undefined &&
    channel._callbacks?.length === 0
  );
  await Promise.all(refused.map((channel) =>
    new Promise<void>((resolve) => {
      channel.once("close", () => resolve());
      channel.destroy();
      channel.resume?.();
    })
  ));
}
