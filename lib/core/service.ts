/** Named services of a context: CALL_SERVICE in, one reply out. A method without a policy cannot exist. */
import { CALL_SERVICE, FIRST_DYNAMIC_HANDLE } from "./constants.ts";
import { HoldfastError, toHoldfastError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import { decodeJson, type Json, type JsonObject } from "./json.ts";
import { LIMITS } from "./limits.ts";
import type { Router } from "./router.ts";

/** Who calls, and how long it still wants the answer. */
export interface Call {
  src: number;
  router: Router;
  /** Aborted when the caller cancels or goes away. */
  signal: AbortSignal;
}

export interface Method {
  /** `parents`: only under the authority of this context or one above it; `anyone`: whoever can reach it. */
  policy: "parents" | "anyone";
  handle(args: JsonObject, call: Call): Promise<Json | void> | Json | void;
}

export type Service = Record<string, Method>;

/** Serves `services` on `router` until the router's context ends. */
export function serve(router: Router, services: Record<string, Service>): void {
  const running = new Map<number, Map<number, AbortController>>();
  router.onGone((id) => {
    for (const controller of running.get(id)?.values() ?? []) controller.abort();
    running.delete(id);
  });

  router.setStandardHandler(CALL_SERVICE, (frame) => {
    const request = decodeJson(frame.payload);
    if (typeof request.cancel === "number") {
      running.get(frame.src)?.get(request.cancel)?.abort();
      return;
    }
    if (frame.replyTo >= FIRST_DYNAMIC_HANDLE) void answer(frame, request);
  });

  async function answer(frame: Frame, request: JsonObject): Promise<void> {
    const { src, replyTo } = frame;
    let calls = running.get(src);
    if (!calls) running.set(src, calls = new Map());
    const controller = new AbortController();
    let reply: JsonObject;
    try {
      const method = find(services, request);
      if (method.policy === "parents" && !router.hasParentAuthority(frame.auth)) {
        throw new HoldfastError("refused", `${name(request)} is not for context ${src}`);
      }
      if (calls.size >= LIMITS.openPerPeer) {
        throw new HoldfastError("limit", `Cannot call ${name(request)}: ${calls.size} calls are open`);
      }
      calls.set(replyTo, controller);
      const args = (request.args ?? {}) as JsonObject;
      reply = { ok: await method.handle(args, { src, router, signal: controller.signal }) ?? null };
    } catch (error) {
      reply = { error: { ...toHoldfastError(error).toWire() } };
    }
    if (calls.get(replyTo) === controller) calls.delete(replyTo);
    if (calls.size === 0) running.delete(src);
    if (!controller.signal.aborted) router.sendJson({ dst: src, handle: replyTo, replyTo: 0 }, reply);
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
