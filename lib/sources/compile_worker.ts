/**
 * Compiles files and packages one by one to CommonJS, in a process of its own that `module_compiler.ts` starts: with
 * the configuration of whoever wrote them, and without a word in our own lock file. A job comes on standard input, the
 * outcome goes to standard output, both as JSON.
 */

export interface CompileJob {
  files: {
    path: string;
    /** Specifiers as they stand in it: what they name is compiled by itself. */
    external: string[];
  }[];
  /** Specifiers of packages, which are compiled with all that they import. */
  packages: string[];
}

export interface Compiled {
  script: string;
  /** A source map, for files. */
  map: string | null;
}

/** In the order of the job; text says why one does not compile. */
export interface CompileOutcome {
  files: (Compiled | string)[];
  packages: (Compiled | string)[];
}

async function compile(options: Deno.bundle.Options): Promise<Compiled | string> {
  try {
    const { success, errors, outputFiles = [] } = await Deno.bundle({
      ...options,
      format: "cjs",
      write: false,
      outputPath: "out.js",
    });
    if (!success) return errors.map(({ text }) => text).join("; ");
    const text = (end: string) => {
      const file = outputFiles.find(({ path }) => path.endsWith(end));
      return file?.contents ? new TextDecoder().decode(file.contents) : null;
    };
    return { script: text(".js") ?? "", map: text(".map") };
  } catch (error) {
    return (error as Error).message;
  }
}

/** Its default is what an import of it gives, whether the package is CommonJS or not. */
function stub(specifier: string): string {
  return `import * as all from ${JSON.stringify(specifier)};\n` +
    `"__esModule" in all || Object.defineProperty(all, "__esModule", { value: true });\n` +
    `module.exports = all;\n`;
}

if (import.meta.main) {
  const job = await new Response(Deno.stdin.readable).json() as CompileJob;
  const outcome: CompileOutcome = { files: [], packages: [] };
  for (const { path, external } of job.files) {
    const options = { platform: "browser", sourcemap: "external" } as const;
    outcome.files.push(await compile({ entrypoints: [path], external, ...options }));
  }
  const directory = job.packages.length > 0 ? await Deno.makeTempDir({ prefix: "holdfast-" }) : "";
  try {
    for (const [index, specifier] of job.packages.entries()) {
      const entry = `${directory}/${index}.ts`;
      await Deno.writeTextFile(entry, stub(specifier));
      const options = { platform: "deno", minify: true } as const;
      outcome.packages.push(await compile({ entrypoints: [entry], ...options }));
    }
  } finally {
    if (directory) await Deno.remove(directory, { recursive: true });
  }
  await new Response(JSON.stringify(outcome)).body!.pipeTo(Deno.stdout.writable);
}
