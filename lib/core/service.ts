/** Named services of a context: CALL_SERVICE in, one reply out. A method without a policy cannot exist. */
import { CALL_SERVICE, FIRST_DYNAMIC_HANDLE } from "./constants.ts";
import { HoldfastError, toHoldfastError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import { decodeJson, type Json, type JsonObject } from "./json.ts";
import type { Router } from "./router.ts";

/** Who calls, and how long it still wants the answer. */
export interface Call {
  src: number;
  router: Router;
  /** Aborted when the caller cancels or goes away. */
  signal: AbortSignal;
  /**
   * Answers before the method returns, whose value is then ignored: for an answer that is to leave in one batch
   * with what the method sent just now.
   */
  reply(value: Json): void;
}

export interface Method {
  /** `parents`: only under the authority of this context or one above it; `anyone`: whoever can reach it. */
  policy: "parents" | "anyone";
  handle(args: JsonObject, call: Call): Promise<Json | void> | Json | void;
}

export type Service = Record<string, Method>;

/** Serves `services` on `router` until the router's context ends. */
export function serve(router: Router, services: Record<string, Service>): void {
  router.setStandardHandler(CALL_SERVICE, (frame) => {
    const request = decodeJson(frame.payload);
    if (frame.replyTo >= FIRST_DYNAMIC_HANDLE) void answer(frame, request);
  });

  async function answer({ src, auth, replyTo }: Frame, request: JsonObject): Promise<void> {
    const controller = new AbortController();
    let answered = false;
    const send = (reply: JsonObject): void => {
      if (answered || controller.signal.aborted) return;
      answered = true;
      router.sendJson({ dst: src, handle: replyTo, replyTo: 0 }, reply);
    };
    let reply: JsonObject;
    try {
      const method = find(services, request);
      if (method.policy === "parents" && !router.hasParentAuthority(auth)) {
        throw new HoldfastError("refused", `${name(request)} is not for context ${src}`);
      }
      // The call's own handle, mirrored, is where the caller cancels it and where its end is told.
      const abort = (): void => controller.abort();
      router.addMirror(src, replyTo, { from: src, onFrame() {}, onDead: abort });
      try {
        const args = (request.args ?? {}) as JsonObject;
        const { signal } = controller;
        const call = { src, router, signal, reply: (value: Json) => send({ ok: value }) };
        reply = { ok: await method.handle(args, call) ?? null };
      } finally {
        if (!controller.signal.aborted) router.removeMirror(src, replyTo);
      }
    } catch (error) {
      reply = { error: { ...toHoldfastError(error).toWire() } };
    }
    send(reply);
  }
}

function find(services: Record<string, Service>, request: JsonObject): Method {
  const { service, method } = request;
  if (typeof service === "string" && typeof method === "string") {
    if (Object.hasOwn(services, service) && Object.hasOwn(services[service], method)) {
      return services[service][method];
    }
  }
  throw new HoldfastError("no_route", `there is no service method ${name(request)}`);
}

function name(request: JsonObject): string {
  return `${request.service}.${request.method}`.slice(0, 80);
}
