/**
 * A login shell that is started before its command is known, so that a warm command costs neither fork nor exec
 * of a shell. Shipped to a context that runs commands again and again.
 */
import type { StartServices } from "./context.ts";
import type { ByteSource, Child, ProcessHost, SpawnOptions } from "./host.ts";

/**
 * Reads one line and runs it as the shell's own `-c` would have; a line before it that begins with `=` sets variables.
 * Of a line that begins with `+` the command takes the shell's place, unless it is a function or an alias (from the
 * environment or .bashrc), or nothing: then the shell has its own words to say.
 */
const WAIT = 'IFS= read -r HF||exit;case $HF in =*)eval "${HF#=}";IFS= read -r HF||exit;esac;' +
  "case $HF in +*)HF=${HF#+};" +
  '{ declare -F "${HF%% *}"||alias "${HF%% *}"||! command -v "${HF%% *}";}>/dev/null 2>&1||' +
  'HF="exec $HF";esac;eval "unset HF; $HF"';
/** One command of plain words: a shell's `-c` does not stay behind it, but becomes it. */
const SIMPLE = /^[\w.\/][\w.\/-]*( [^;&|(){}`\n]*)?$/;
/** First words that no program may take the place of: what the shells themselves know. */
const BUILTIN =
  /^(\.|alias|bg|bind|break|builtin|caller|case|cd|chdir|command|compgen|complete|compopt|continue|coproc|declare|dirs|disown|do|done|echo|elif|else|enable|esac|eval|exec|exit|export|false|fc|fg|fi|for|function|getopts|hash|help|history|if|in|jobs|kill|let|local|logout|mapfile|popd|printf|pushd|pwd|read|readarray|readonly|return|select|set|shift|shopt|source|suspend|test|then|time|times|trap|true|type|typeset|ulimit|umask|unalias|unset|until|wait|while)$/;
/** Variables that say nothing to a shell that has started already. */
const HARMLESS = /^(LANG|LANGUAGE|LC_[A-Z]+|TZ|COLORTERM|NO_COLOR|GIT_[A-Z_]+)$/;
/** What the shell reads in one go at most; longer commands start a shell of their own. */
const MAX_LINE = 4000;

/** Milliseconds after a command's end when nothing more urgent is to be done. */
const IDLE = 2;

/** From now on the context's commands find a shell waiting. */
export const start: StartServices = (context) => {
  const shell = new SpareShell(context.host);
  const { host } = context;
  context.host = { ...host, spawn: (options) => shell.spawn(options) };
  return { services: {}, close: () => shell.close() };
};

/**
 * - At most one shell waits, and none before the first command.
 * - Only for shells in which `eval` of a line does what `-c` does, and for commands that are one line and need
 *   no directory, environment or terminal of their own; the others get one of their own.
 * - It ends when its input does, so it cannot outlive the context.
 */
class SpareShell {
  readonly #host: ProcessHost;
  readonly #usable: boolean;
  #spare: Child | null = null;
  #closed = false;

  constructor(host: ProcessHost) {
    this.#host = host;
    this.#usable = /(^|\/)(sh|dash|bash)$/.test(host.shell ?? "");
  }

  async spawn(options: SpawnOptions): Promise<Child> {
    const line = this.#usable ? lineOf(options) : null;
    if (line === null) return await this.#host.spawn(options);
    const child = await this.#take(line) ?? await this.#host.spawn(options);
    const refill = () => void setTimeout(() => this.#refill(), IDLE);
    child.exit.then(refill, refill);
    return child;
  }

  /** Ends the shell that waits; none is started after that. */
  async close(): Promise<void> {
    this.#closed = true;
    const child = this.#spare;
    if (child) await end(child);
  }

  async #take(line: string): Promise<Child | null> {
    const child = this.#spare;
    this.#spare = null;
    try {
      await child?.stdin.write(new TextEncoder().encode(line));
      return child;
    } catch {
      return null;
    }
  }

  async #refill(): Promise<void> {
    if (this.#spare || this.#closed) return;
    const child = await this.#host.spawn({ command: WAIT }).catch(() => null);
    if (!child) return;
    if (this.#closed || this.#spare) return await end(child);
    this.#spare = { ...child, stdout: primed(child.stdout), stderr: primed(child.stderr) };
    const spare = this.#spare;
    const forget = () => {
      if (this.#spare === spare) this.#spare = null;
    };
    child.exit.then(forget, forget);
  }
}

/** What a waiting shell is to read; null: the command wants a process of its own. */
function lineOf({ command, cwd, env = {}, terminal }: SpawnOptions): string | null {
  if (typeof command !== "string" || cwd || terminal) return null;
  const variables = Object.entries(env);
  if (!variables.every(([name]) => HARMLESS.test(name))) return null;
  const words = variables.map(([name, value]) => `${name}='${value.replaceAll("'", "'\\''")}'`);
  const before = words.length > 0 ? `=export ${words.join(" ")}` : "";
  if ((before + command).length >= MAX_LINE || /[\n\0]/.test(before + command)) return null;
  const become = SIMPLE.test(command) && !BUILTIN.test(command.split(" ")[0]);
  return `${before && `${before}\n`}${become ? "+" : " "}${command}\n`;
}

/** A shell that waits has nothing to lose; one with a noisy .bashrc may be stuck in writing what nobody reads. */
async function end(child: Child): Promise<void> {
  child.stdout.cancel();
  child.stderr.cancel();
  child.kill("SIGKILL");
  await child.stdin.close();
  await child.exit.catch(() => {});
}

/** A source whose first read is already under way, so that it costs nothing when the command comes. */
function primed(source: ByteSource): ByteSource {
  let first: Promise<Uint8Array | null> | null = source.read();
  first.catch(() => {});
  return {
    read() {
      const reading = first ?? source.read();
      first = null;
      return reading;
    },
    cancel: () => source.cancel(),
  };
}
