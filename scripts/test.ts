/**
 * `deno task test`: runs every test file in a process of its own (the leak check relies on that), two
 * at a time, shows their output in the order of their names, and ends with one line of totals. Without files it then
 * builds `dist/holdfast`, and runs some of them again with that in the place of the source tree.
 *
 *     deno run -A scripts/test.ts [FILE|DIRECTORY...] [options of `deno test`, such as --filter=NAME]
 */

import { has } from "../tests/support/needs.ts";
import type { Variant } from "../tests/support/program.ts";
import { descendantsOf, killProcesses, readProcess } from "../tests/support/processes.ts";

/** Files at once; more only make a small machine's timing worse. `HOLDFAST_TEST_JOBS` overrides. */
const JOBS = Number(Deno.env.get("HOLDFAST_TEST_JOBS")) ||
  Math.min(2, navigator.hardwareConcurrency);

/** Seconds after which a file's process is killed as hanging. `HOLDFAST_TEST_TIMEOUT` overrides. */
const TIMEOUT = Number(Deno.env.get("HOLDFAST_TEST_TIMEOUT")) || 600;

/** What a user would notice first if the built file were not what the source tree is. */
const BUILT_FIRST = ["e2e/exec", "e2e/stack", "e2e/dropin_session", "e2e/dropin_tools"];

/** By how the built file is run, see `tests/support/program.ts`. */
const BUILT: Record<Variant, string[]> = {
  relocated: [
    ...BUILT_FIRST,
    "client/relay",
    "e2e/bad_input",
    "e2e/concurrency",
    "e2e/dropin_terminal",
    "e2e/openssh",
    "e2e/questions",
    "e2e/signals",
    "e2e/terminal",
  ],
  "empty-home": BUILT_FIRST,
  "read-only-home": BUILT_FIRST,
};

/** One file, run in one way. */
interface Job {
  readonly file: string;
  /** Absent: the source tree. */
  readonly built?: Variant;
}

interface Report {
  readonly output: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

async function main(args: string[]): Promise<number> {
  Deno.chdir(new URL("..", import.meta.url));
  const chosen = args.filter((arg) => !arg.startsWith("-") && exists(arg));
  const options = args.filter((arg) => !chosen.includes(arg));
  const files = (chosen.length > 0 ? chosen : ["tests"]).flatMap(testFilesIn).sort();
  const jobs: Job[] = files.map((file) => ({ file }));
  if (chosen.length === 0) jobs.push(...await builtJobs());

  const scratch = await Deno.makeTempDir({ prefix: "hf-junit-" });
  const reports = jobs.map(() => Promise.withResolvers<Report>());
  let next = 0;
  const work = async () => {
    for (let index = next++; index < jobs.length; index = next++) {
      const junit = `${scratch}/${index}.xml`;
      await runJob(jobs[index], { options, junit })
        .then(reports[index].resolve, reports[index].reject);
    }
  };
  const totals = { passed: 0, failed: 0, skipped: 0 };
  const failures: string[] = [];
  const workers = Promise.all(Array.from({ length: JOBS }, work));
  try {
    for (const [index, { promise }] of reports.entries()) {
      const report = await promise;
      await Deno.stdout.write(new TextEncoder().encode(report.output));
      totals.passed += report.passed;
      totals.failed += report.failed;
      totals.skipped += report.skipped;
      if (report.failed > 0) failures.push(nameOf(jobs[index]));
    }
    await workers;
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
  if (failures.length > 0) console.log(`\nfailures in: ${failures.join(" ")}`);
  const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : "";
  console.log(`\n${totals.passed} passed, ${totals.failed} failed${skipped}`);
  return totals.failed > 0 || totals.passed === 0 ? 1 : 0;
}

/** Builds, and says what is to be run with it; nothing where it cannot be built. */
async function builtJobs(): Promise<Job[]> {
  if (["linux", "gzip", "tar", "sha256sum"].some((need) => !has(need))) return [];
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "scripts/build.ts"],
    stdin: "null",
  }).spawn().status;
  if (!success) throw new Error("Cannot test the built file: it was not built");
  return Object.entries(BUILT).flatMap(([built, names]) => {
    if (built === "read-only-home" && !has("namespaces")) return [];
    return names.map((name) => ({ file: `tests/${name}_test.ts`, built: built as Variant }));
  });
}

function nameOf({ file, built }: Job): string {
  return built === undefined ? file : `${file} (HOLDFAST_TEST_BUILT=${built})`;
}

/** Runs one file; whatever goes wrong beyond its tests counts as one failure more. */
async function runJob(
  { file, built }: Job,
  { options, junit }: { options: string[]; junit: string },
): Promise<Report> {
  const deno = ["test", "-A", "--no-check", `--junit-path=${junit}`, ...options, file];
  const process = new Deno.Command("sh", {
    args: ["-c", 'exec "$@" 2>&1', "sh", Deno.execPath(), ...deno],
    env: {
      ...Deno.stdout.isTerminal() ? { FORCE_COLOR: "1" } : { NO_COLOR: "1" },
      ...built === undefined ? {} : { HOLDFAST_TEST_BUILT: built },
    },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  let note = "";
  const timer = setTimeout(async () => {
    note = `${file}: killed after ${TIMEOUT} s\n`;
    const self = readProcess(process.pid);
    if (self) await killProcesses([self, ...descendantsOf(process.pid)]);
  }, TIMEOUT * 1000);
  try {
    const { success, stdout } = await process.output();
    const counts = countResults(await Deno.readTextFile(junit).catch(() => ""), {
      filtered: options.some((option) => option.startsWith("--filter")),
    });
    if (!success && counts.failed === 0) {
      note ||= `${file}: deno test failed outside its tests\n`;
      counts.failed = 1;
    }
    const title = built === undefined ? "" : `with the built file, ${built}:\n`;
    return { output: title + new TextDecoder().decode(stdout) + note, ...counts };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Counts a JUnit report's tests, not their steps. Its texts are escaped, so tags are tags. It calls
 * skipped also what a filter left out; then only those that say so themselves count.
 */
function countResults(
  xml: string,
  { filtered }: { filtered: boolean },
): { passed: number; failed: number; skipped: number } {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const cases = [...xml.matchAll(/<testcase name="([^"]*)"[^>]*>([\s\S]*?)<\/testcase>/g)];
  const names = new Set(cases.map(([, name]) => name));
  for (const [, name, body] of cases) {
    const words = name.split(" &gt; ");
    if (words.some((_, index) => index > 0 && names.has(words.slice(0, index).join(" &gt; ")))) {
      continue; // a step: its failure is its test's
    }
    if (/<(failure|error)\b/.test(body)) counts.failed++;
    else if (/<skipped\b/.test(body)) {
      if (!filtered || name.includes("(skipped: ")) counts.skipped++;
    } else counts.passed++;
  }
  return counts;
}

function testFilesIn(path: string): string[] {
  if (Deno.statSync(path).isFile) return [path];
  return [...Deno.readDirSync(path)].flatMap((entry) => {
    const inside = `${path.replace(/\/$/, "")}/${entry.name}`;
    if (entry.isDirectory) return testFilesIn(inside);
    return entry.name.endsWith("_test.ts") ? [inside] : [];
  });
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
