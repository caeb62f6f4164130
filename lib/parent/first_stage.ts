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
const SCRIPT = `for r in deno bun ~/.deno/bin/deno ~/.bun/bin/bun /usr/local/bin/deno ` +
  `/usr/local/bin/bun node /usr/local/bin/node ~/.nvm/versions/node/*/bin/node;do ` +
  `p=$(command -v $r)&&case $p in *deno)HF_D=$DENO_DIR DENO_DIR=/dev/null/d DENO_NO_UPDATE_CHECK=1 ` +
  `exec "$p" eval --no-config --no-lock "$0";;/*)exec "$p" -e "$0";;esac;done;echo ${NO_RUNTIME}`;

/** `size`: bytes of the compressed core (raw deflate). */
function source(size: number): string {
  return `const D=globalThis.Deno,N=${size},b=new Uint8Array(N);let o=0;` +
    `for(;o<N;)try{o+=(D?D.stdin.readSync(b.subarray(o)):require("fs").readSync(0,b,o,N-o))||process.exit(1)}` +
    `catch(e){if(e.code==="EAGAIN")continue;throw e}` +
    `globalThis.holdfast={core:b};` +
    `(D?new Response(new Blob([b]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).text()` +
    `:Promise.resolve(require("zlib").inflateRawSync(b).toString())).then(eval)`;
}

/** The first stage for a core of `size` compressed bytes; under 1 KiB. */
export function firstStage(size: number): string {
  return `exec sh -c '${SCRIPT}' '${source(size)}'`;
}
