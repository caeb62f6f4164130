/** Other tools over the drop-in, each beside itself over a ControlMaster of OpenSSH's own. */

import { builtFile } from "./built_file.ts";
import { alternate, type Measured, type Row, type RowOptions, type Target } from "./row.ts";
import type { Command } from "./processes.ts";
import type { World } from "./world.ts";

const MASTER = "over master";
const FILES = 10_000;
const TASKS = 20;
const COMMITS = 500;

/** What one tool runs, given the words that stand for ssh; `ssh` is a program that takes ssh's words. */
type Tool = (way: { host: string; line: string; ssh: string }) => Promise<Command>;

interface ToolRow {
  name: string;
  /** Round trip in milliseconds. */
  delay?: number;
  runs: number;
  prepare(
    world: World,
    options: RowOptions,
  ): Promise<{ tool: Tool; size?: number; clean?(): Promise<void> }>;
}

export const toolRows: Row[] = [
  ...bothWays("rsync_noop", { runs: 5, prepare: rsyncNoop }),
  toolRow({ name: "rsync_1g", runs: 3, prepare: rsyncLarge }),
  toolRow({ name: "rsync_1g_30ms", delay: 30, runs: 2, prepare: rsyncLarge }),
  ...bothWays("git_fetch_noop", { runs: 15, prepare: gitFetch }),
  ...bothWays("ansible_ping_20", { runs: 3, prepare: ansiblePing }),
  stream("dropin_stream_down", (way, size) => `${way} 'head -c ${size} /dev/zero' >/dev/null`),
  stream("dropin_stream_up", (way, size) => `head -c ${size} /dev/zero | ${way} 'cat >/dev/null'`),
];

function bothWays(name: string, row: Omit<ToolRow, "name">): Row[] {
  return [toolRow({ ...row, name }), toolRow({ ...row, name: `${name}_30ms`, delay: 30 })];
}

function toolRow({ name, delay = 0, runs, prepare }: ToolRow): Row {
  const isLarge = name.startsWith("rsync_1g");
  const most = delay === 0 ? 1 : 0.75;
  const target: Target = isLarge
    ? { peer: MASTER, atLeast: 1 / most }
    : { peer: MASTER, atMost: most };
  return {
    name,
    unit: isLarge ? "MB/s" : "ms",
    targets: [target],
    async measure(world, options): Promise<Measured> {
      const { tool, size, clean } = await prepare(world, options);
      const ways = await bothSshs(world, { delay });
      const once = (command: Command) => ({
        async run() {
          const ms = await world.processes.time(command);
          return size === undefined ? ms : size / 1e3 / ms;
        },
      });
      const measured = await alternate({
        holdfast: once(await tool(ways.holdfast)),
        [MASTER]: once(await tool(ways.master)),
      }, { runs: options.quick ? 2 : runs });
      await clean?.();
      return measured;
    },
  };
}

function stream(name: string, line: (way: string, size: number) => string): Row {
  return {
    name,
    unit: "MB/s",
    targets: [{ peer: "ssh -S", atLeast: 0.8 }],
    async measure(world, { quick, size }) {
      const { holdfast, master } = await bothSshs(world, { delay: 0 });
      const once = (way: { line: string; host: string }) => {
        const command = world.peer("sh", "-c", line(`${way.line} ${way.host}`, size));
        return { run: async () => size / 1e3 / await world.processes.time(command) };
      };
      const contestants = { holdfast: once(holdfast), "ssh -S": once(master) };
      return await alternate(contestants, { runs: quick ? 2 : 5 });
    },
  };
}

/** The drop-in of the built file with a warm connection, and ssh with its own; both as a line and as a program. */
async function bothSshs(world: World, { delay }: { delay: number }) {
  const place = await world.place({ delay });
  const seat = await world.seat();
  await world.processes.time(await world.built(seat, "exec", place.name, "--", "true"));
  await world.processes.time(await world.built(seat, "exec", place.name, "--", "true"));
  const socket = await world.controlMaster(place);
  const variables = `HOLDFAST_DIR=${seat.env.HOLDFAST_DIR} HOME=${seat.env.HOME}`;
  const ours = `env ${variables} ${await builtFile()} ssh -F ${world.config}`;
  const theirs = `ssh -F ${world.config} -S ${socket}`;
  const way = async (name: string, line: string) => {
    const ssh = `${world.localDir}/${place.name}-${name}`;
    await Deno.writeTextFile(ssh, `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o755 });
    return { host: place.name, line, ssh };
  };
  return { holdfast: await way("holdfast", ours), master: await way("master", theirs) };
}

async function rsyncNoop(world: World) {
  const source = `${world.localDir}/unchanged`;
  for (let at = 0; at < FILES; at++) {
    const dir = `${source}/${Math.floor(at / 100)}`;
    if (at % 100 === 0) await Deno.mkdir(dir, { recursive: true });
    await Deno.writeTextFile(`${dir}/${at}`, `${at}\n`);
  }
  const there = `${world.remoteDir}/unchanged`;
  // The first run, which does not count, copies.
  const tool: Tool = async ({ host, line }) =>
    world.peer("rsync", "-a", "-e", line, `${source}/`, `${host}:${there}/`);
  return { tool, clean: () => removeAll(source, there) };
}

async function rsyncLarge(world: World, { size }: RowOptions) {
  const source = `${world.localDir}/rsynced`;
  await world.processes.time(
    world.peer("sh", "-c", `head -c ${size} /dev/urandom >${source}`),
  );
  const there = `${world.remoteDir}/rsynced`;
  // Without --ignore-times the second run would have nothing to do; whole files, as for a new one.
  const tool: Tool = async ({ host, line }) =>
    world.peer("rsync", "-W", "--ignore-times", "-e", line, source, `${host}:${there}`);
  return { tool, size, clean: () => removeAll(source, there) };
}

async function gitFetch(world: World) {
  const work = `${world.localDir}/work.git`;
  const there = `${world.remoteDir}/fetched.git`;
  let commits = "";
  for (let at = 0; at < COMMITS; at++) {
    commits += `commit refs/heads/main\ncommitter a <a@b> ${1_700_000_000 + at} +0000\ndata 0\n` +
      `M 644 inline file\ndata ${String(at).length}\n${at}\n`;
  }
  await Deno.writeTextFile(`${world.localDir}/commits`, commits);
  const script =
    `git init -q --bare ${work} && git -C ${work} fast-import --quiet <${world.localDir}/commits && ` +
    `cp -r ${work} ${there} && chown -R ${world.user} ${there} && git -C ${work} remote add a x`;
  await world.processes.time(world.peer("sh", "-c", script));
  const tool: Tool = async ({ host, ssh }) => ({
    words: ["git", "-C", work, "fetch", "-q", `${host}:${there}`, "main"],
    env: { ...world.env, GIT_CONFIG_NOSYSTEM: "1", GIT_SSH: ssh, GIT_SSH_VARIANT: "ssh" },
  });
  return { tool, clean: () => removeAll(work, there) };
}

async function ansiblePing(world: World) {
  const tool: Tool = async ({ host, ssh }) => {
    const base = `${world.localDir}/ansible-${host}-${ssh.endsWith("master") ? "master" : "ours"}`;
    await Deno.mkdir(base);
    const play = [{
      hosts: "all",
      gather_facts: false,
      vars: { ansible_python_interpreter: "/usr/bin/python3" },
      tasks: Array.from({ length: TASKS }, () => ({ ping: {} })),
    }];
    await Deno.writeTextFile(`${base}/play.json`, JSON.stringify(play));
    const remote = `ansible_remote_tmp=${world.remoteDir}/tmp`;
    await Deno.writeTextFile(`${base}/inventory`, `${host} ${remote}\n`);
    const env = {
      ...world.env,
      ANSIBLE_SSH_EXECUTABLE: ssh,
      // Neither is to make a master of its own.
      ANSIBLE_SSH_ARGS: "",
      ANSIBLE_SFTP_EXTRA_ARGS: `-S ${ssh}`,
      LC_ALL: "C.UTF-8",
    };
    return { words: ["ansible-playbook", "-i", `${base}/inventory`, `${base}/play.json`], env };
  };
  return { tool };
}

async function removeAll(...paths: string[]): Promise<void> {
  for (const path of paths) await Deno.remove(path, { recursive: true });
}
