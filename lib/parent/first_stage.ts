/**
 * The command line that turns a login shell into a context: finds deno, bun or node, reads exactly the
 * compressed core from standard input and runs it. Used by every connection method that has a shell.
 */

/** Printed where no runtime is found; the target is then served directly. */
export const NO_RUNTIME = "holdfast-no-runtime";

/**
 * No single quote, backslash, newline or exclamation mark may stand in these: they travel inside single
 * quotes through whatever login shell the user has, csh and fish included.
 */
function script(alsoTry: string): string {
  return `l=/usr/local/bin;for r in deno bun ~/.deno/bin/deno ~/.bun/bin/bun $l/deno $l/bun node ` +
    `$l/node ~/.nvm/versions/node/*/bin/node${alsoTry} \${XDG_CACHE_HOME:-~/.cache}/holdfast/*/deno;do ` +
    `p=$(command -v $r)&&case $p in */holdfast/*/deno)[ -O $p ]&&$p -V||continue;;/*);;*)continue;esac&&case \${p##*/} in d*)HF_D=$DENO_DIR DENO_DIR=/dev/null/d ` +
    `DENO_NO_UPDATE_CHECK=1 exec "$p" eval --ext=js --no-config --no-lock "$0";;*)exec "$p" -e "$0";esac;done;` +
    `echo ${NO_RUNTIME};eval $1`;
}

/** `size`: bytes of the compressed core (raw deflate). `title`: what `ps` shows of the context. */
function source(size: number, title: string): string {
  return `/*${title}*/const D=globalThis.Deno,N=${size},b=new Uint8Array(N);` +
    `for(let o=0;o<N;)try{o+=(D?D.stdin.readSync(b.subarray(o)):require("fs").readSync(0,b,o,N-o))||process.exit(1)}` +
    `catch(e){if(e.code=="EAGAIN")continue;throw e}` +
    `const I=async b=>D?new Response(new Response(b).body.pipeThrough(new DecompressionStream("deflate-raw"))).text()` +
    `:require("zlib").inflateRawSync(b).toString();` +
    `globalThis.holdfast={core:b,inflate:I};I(b).then(eval)`;
}

/** Characters of a name in a title; longer ones lose their middle. */
const TITLE = 50;

/** What `ps` shows of a context: what it is, and whose. Only harmless characters are kept. */
export function contextTitle({ name, owner }: { name: string; owner: string }): string {
  return `holdfast: ${short(name)} (${short(owner)})`;
}

function short(text: string): string {
  const harmless = text.replace(/[^\w.,@=:/+-]/g, "_");
  if (harmless.length <= TITLE) return harmless;
  return `${harmless.slice(0, TITLE / 2)}..${harmless.slice(-TITLE / 2)}`;
}

export interface FirstStageOptions {
  /** What `ps` shows, from {@linkcode contextTitle}. */
  title?: string;
  /** A runtime to try when none is found in the usual places: the one that the parent itself runs on. */
  alsoTry?: string | null;
  /** What the shell does instead, once it has said that there is none; in it stands no single quote. */
  otherwise?: string;
}

/** The first stage for a core of `size` compressed bytes; under 1 KiB with any title of `contextTitle`. */
export function firstStage(
  size: number,
  { title = "holdfast", alsoTry = null, otherwise }: FirstStageOptions = {},
): string {
  const harmless = alsoTry !== null && /^\/[\w./@+-]{1,160}$/.test(alsoTry) ? ` ${alsoTry}` : "";
  const more = otherwise === undefined ? "" : ` '${otherwise}'`;
  return `exec sh -c '${script(harmless)}' '${source(size, title)}'${more}`;
}
