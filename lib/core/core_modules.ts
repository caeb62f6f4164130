/** What modules that are shipped later may require of the core; used by its importer and by who compiles them. */
import * as errors from "./errors.ts";
import * as greeting from "./greeting.ts";
import * as json from "./json.ts";
import * as limits from "./limits.ts";
import * as link from "./link.ts";
import * as router from "./router.ts";
import * as stream from "./stream.ts";

/** By file name. What is not here is compiled into the module that imports it. */
export const CORE_MODULES: Record<string, unknown> = {
  errors,
  greeting,
  json,
  limits,
  link,
  router,
  stream,
};
