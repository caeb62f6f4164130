/** Services that a test starts in contexts, to see what a context can call in another one. */
import type { StartServices } from "../../../lib/core/context.ts";
import type { JsonObject } from "../../../lib/core/json.ts";

export const start: StartServices = ({ router }) => ({
  services: {
    peer: {
      greet: { policy: "anyone", handle: (_, { src }) => `context ${router.id} greets ${src}` },
      hang: { policy: "anyone", handle: () => new Promise(() => {}) },
      secret: { policy: "parents", handle: () => "not for peers" },
      /** Calls a method in another context; the value says how that went. */
      reach: {
        policy: "parents",
        handle: async ({ dst, service, method, args }) => {
          const request = { service: String(service), method: String(method) };
          try {
            return { ok: await router.call(Number(dst), { ...request, args: args as JsonObject }) };
          } catch (error) {
            const { kind, message } = error as { kind: string; message: string };
            return { kind, message };
          }
        },
      },
      /** Sends messages to handles of another context, with nothing of its own but its name. */
      send: {
        policy: "parents",
        handle: ({ dst, handles, body }) => {
          for (const handle of handles as number[]) {
            const header = { dst: Number(dst), handle, replyTo: 0 };
            router.sendJson(header, body as JsonObject);
          }
        },
      },
    },
  },
});
