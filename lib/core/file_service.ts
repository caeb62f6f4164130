/** Files for other contexts. */
import type { Host } from "./host.ts";
import type { Service } from "./service.ts";

export class FileService {
  constructor(_host: Host) {}
  get service(): Service {
    return {};
  }
}
