/**
 * An Ansible inventory as `ansible-inventory --list` prints it: host variables to entries, for
 * `stack_files.ts`. It may hold passwords and templates of them: no error here quotes a value of it but names.
 */

import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import { readSshArguments } from "../rendezvous/ssh_arguments.ts";
import { mergeSshOptions, type SshOptions } from "../rendezvous/ssh_options.ts";
import {
  type ArgumentMethod,
  checkHost,
  checkUser,
  formatTarget,
  type Hop,
} from "../rendezvous/target.ts";
import { HostVariables } from "./host_variables.ts";
import { Secret } from "./secret.ts";
import type { StackMachine } from "./stack_entry.ts";

export interface InventoryOptions {
  /** For people: which inventory. */
  source: string;
  /** Where relative file names start. */
  directory: string;
}

/** What `ansible_connection` may be, without a collection or `mitogen_` before it, and the method that it stands for. */
const CONNECTIONS: Record<string, Hop["method"]> = {
  ssh: "ssh",
  smart: "ssh",
  paramiko: "ssh",
  paramiko_ssh: "ssh",
  local: "local",
  docker: "docker",
  docker_api: "docker",
  podman: "podman",
  kubectl: "kubectl",
  lxc: "lxc",
  lxd: "lxc",
  incus: "incus",
  chroot: "chroot",
  machinectl: "machinectl",
  sudo: "sudo",
  su: "su",
  doas: "doas",
};

/** Those whose `ansible_user` is a user inside. */
const WITH_USER: Hop["method"][] = ["docker", "podman"];
const BECOME_METHODS = ["sudo", "su", "doas"];
/** In the order in which Ansible hands them to ssh, which takes the first value of an option. */
const SSH_ARGUMENTS = ["ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"];

export class Inventory {
  readonly #options: InventoryOptions;
  readonly #variables: Map<string, Record<string, unknown>>;
  readonly #entries: Map<string, StackMachine> = new Map();

  /**
   * Reads the text of an inventory.
   *
   * @throws {HoldfastError} `resolve` when that is not what ansible-inventory prints
   */
  constructor(text: string, options: InventoryOptions) {
    this.#options = options;
    const variables = hostsIn(text);
    if (variables === null) {
      const why = "it is not what ansible-inventory --list prints";
      throw new HoldfastError("resolve", `Cannot read ${options.source}: ${why}`);
    }
    this.#variables = variables;
  }

  has(name: string): boolean {
    return this.#variables.has(name);
  }

  names(): string[] {
    return [...this.#variables.keys()];
  }

  /**
   * What it says of a host; always the same object.
   *
   * @throws {HoldfastError} `resolve` when that host's variables make no sense here
   */
  entry(name: string): StackMachine | undefined {
    const variables = this.#variables.get(name);
    if (variables === undefined) return undefined;
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      try {
        entry = makeEntry(new HostVariables(name, variables), { name, ...this.#options });
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        const why = `Cannot use "${printable(name)}" of ${this.#options.source}: ${error.message}`;
        throw new HoldfastError("resolve", why);
      }
      this.#entries.set(name, entry);
    }
    return entry;
  }
}

/** Whether `text` is an inventory's, and not another kind of JSON. */
export function isInventory(text: string): boolean {
  return hostsIn(text) !== null;
}

/** Variables by host. Hosts without any stand only in their groups. Null when it is no inventory. */
function hostsIn(text: string): Map<string, Record<string, unknown>> | null {
  let inventory: unknown;
  try {
    inventory = JSON.parse(text);
  } catch {
    return null; // what the parser says quotes the text
  }
  if (!isObject(inventory) || !isObject(inventory._meta)) return null;
  const { hostvars } = inventory._meta;
  if (!isObject(hostvars)) return null;
  const hosts = new Map<string, Record<string, unknown>>();
  for (const group of Object.values(inventory)) {
    if (!isObject(group) || !Array.isArray(group.hosts)) continue;
    for (const name of group.hosts) if (typeof name === "string") hosts.set(name, {});
  }
  for (const [name, variables] of Object.entries(hostvars)) {
    if (isObject(variables)) hosts.set(name, variables);
  }
  return hosts;
}

function makeEntry(
  variables: HostVariables,
  { name, source, directory }: InventoryOptions & { name: string },
): StackMachine {
  const hop = ownHop(variables, name);
  const become = becomeHop(variables);
  return {
    kind: "machine",
    name,
    source,
    via: viaHops(variables),
    viaScope: "inventory",
    hop,
    options: hop.method === "ssh"
      ? sshOptions(variables, directory)
      : WITH_USER.includes(hop.method)
      ? { user: userName(variables) }
      : {},
    password: secret(variables, ["ansible_password", "ansible_ssh_pass", "ansible_ssh_password"]),
    ...become && {
      become: {
        hop: become,
        password: secret(variables, ["ansible_become_password", "ansible_become_pass"]),
      },
    },
  };
}

function ownHop(variables: HostVariables, name: string): Hop {
  const connection = variables.text("ansible_connection") ?? "ssh";
  const word = connection.replace(/^mitogen_/, "").replace(/^.*\./, "");
  if (!Object.hasOwn(CONNECTIONS, word)) {
    throw new RangeError(`ansible_connection ${quote(connection)} is none that Holdfast has`);
  }
  const method = CONNECTIONS[word];
  const address = variables.text("ansible_host") ?? name;
  switch (method) {
    case "local":
      return { method };
    case "ssh": {
      const host = variables.text("ansible_host", "ansible_ssh_host") ?? name;
      checked("ansible_host", () => checkHost(host));
      return { method, host };
    }
    case "kubectl":
      return argumentHop(method, podName(variables, address));
    case "sudo":
    case "su":
    case "doas":
      return argumentHop(method, userName(variables));
    default:
      return argumentHop(method, address);
  }
}

function podName(variables: HostVariables, address: string): string {
  if (variables.text("ansible_kubectl_container") !== undefined) {
    throw new RangeError("ansible_kubectl_container has no place in a hop");
  }
  const pod = variables.text("ansible_kubectl_pod") ?? address;
  const namespace = variables.text("ansible_kubectl_namespace");
  return namespace === undefined ? pod : `${namespace}/${pod}`;
}

/** A hop that a TARGET could name, too. */
function argumentHop(method: ArgumentMethod, argument: string | undefined): Hop {
  const hop: Hop = argument === undefined ? { method } : { method, argument };
  try {
    formatTarget([hop]);
  } catch (error) {
    throw new RangeError((error as Error).message);
  }
  return hop;
}

/** `name`, `user@name` (who logs in there), `method:user@name` (who one becomes there). */
function viaHops(variables: HostVariables): Hop[] {
  const via = variables.text("mitogen_via");
  if (via === undefined) return [];
  const [, method, user, host] = /^(?:(?:([^:@]*):)?(.*)@)?(.*)$/.exec(via)!;
  return checked("mitogen_via", () => {
    checkHost(host);
    if (user === undefined) return [{ method: "ssh", host }];
    checkUser(user);
    if (method === undefined) return [{ method: "ssh", host, user }];
    return [{ method: "ssh", host }, { method: becomeMethod(method), argument: user }];
  });
}

function becomeHop(variables: HostVariables): Hop | undefined {
  if (!variables.flag("ansible_become")) return undefined;
  const method = becomeMethod(variables.text("ansible_become_method") ?? "sudo");
  const user = variables.text("ansible_become_user");
  if (user === undefined) return { method };
  checked("ansible_become_user", () => checkUser(user));
  return { method, argument: user };
}

function becomeMethod(text: string): ArgumentMethod {
  const method = text.replace(/^.*\./, "");
  if (BECOME_METHODS.includes(method)) return method as ArgumentMethod;
  throw new RangeError(
    `the become method ${quote(text)} is none of ${BECOME_METHODS.join(", ")}`,
  );
}

function sshOptions(variables: HostVariables, directory: string): SshOptions {
  const key = variables.text("ansible_ssh_private_key_file", "ansible_private_key_file");
  const relative = key !== undefined && !/^[/~%$]/.test(key);
  const port = variables.text("ansible_port", "ansible_ssh_port");
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) > 0 && Number(port) < 65536)) {
    throw new RangeError("ansible_port is not a number from 1 to 65535");
  }
  return mergeSshOptions([
    {
      user: userName(variables),
      port: port === undefined ? undefined : Number(port),
      identityFiles: key === undefined ? [] : [relative ? `${directory}/${key}` : key],
    },
    ...SSH_ARGUMENTS.map((field) =>
      checked(field, () => readSshArguments(variables.text(field) ?? ""))
    ),
  ]);
}

function userName(variables: HostVariables): string | undefined {
  const user = variables.text("ansible_user", "ansible_ssh_user");
  if (user !== undefined) checked("ansible_user", () => checkUser(user));
  return user;
}

/** One that cannot be known here (a vault's, a template's) is asked for, as one that is absent. */
function secret(variables: HostVariables, names: string[]): Secret | undefined {
  try {
    const password = variables.text(...names);
    return password === undefined ? undefined : new Secret(password);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Names the variable in what a check says. */
function checked<T>(name: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RangeError(`${name}: ${error.message}`);
  }
}

function quote(text: string): string {
  return `"${printable(text.slice(0, 60))}"`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
