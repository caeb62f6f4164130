/**
 * `deno task test`: runs every test file in a process of its own (the leak check relies on that), two
 * at a time, shows their output in the order of their names, and ends with one line of totals. Files that are named run
 * from the source tree. Without any it builds `dist/holdfast` first, and the end-to-end tests run with that instead: from
 * another place, some also with each kind of home, and with `--every-home`, as CI does, all of them.
 *
 *     deno run -A scripts/test.ts [FILE|DIRECTORY...] [--every-home] [options of `deno test`, such as --filter=NAME]
 */

import { has } from "../tests/support/needs.ts";
import type { Variant } from "../tests/support/program.ts";
import { descendantsOf, killProcesses, readProcess } from "../tests/support/processes.ts";

/** Files at once; more only make a small machine's timing worse. `HOLDFAST_TEST_JOBS` overrides. */
const JOBS = Number(Deno.env.get("HOLDFAST_TEST_JOBS")) ||
  Math.min(2, navigator.hardwareConcurrency);

/** Seconds after which a file's process is killed as hanging. `HOLDFAST_TEST_TIMEOUT` overrides. */
const TIMEOUT = Number(Deno.env.get("HOLDFAST_TEST_TIMEOUT")) || 600;

/** Not end-to-end by its place, but it starts the program as they do. */
const RELAY = "tests/client/relay_test.ts";

/** End-to-end tests in which the built file would change nothing. */
const SAME: Record<string, string> = {
  "tests/e2e/calls_test.ts": "the tests' own process is the program, by lib/mod.ts",
  "tests/e2e/detach_test.ts": "the tests' own process is the program, by lib/mod.ts",
  "tests/e2e/granted_peers_test.ts": "the tests' own process is the program, by lib/mod.ts",
  "tests/e2e/router_methods_test.ts": "the tests' own process is the program, by lib/mod.ts",
  "tests/e2e/provision_sandboxes_test.ts": "builds a file, and runs that in a home that is empty",
  "tests/e2e/provision_test.ts": "builds a file, and runs that in a home that is empty",
  "tests/e2e/provision_hops_test.ts": "builds a file, and runs that in a home that is empty",
};

/** Not in a read-only home, which is one in a mount namespace of the program: that would hold what sshfs mounts. */
const SSHFS = "tests/e2e/dropin_sshfs_test.ts";

/** With every kind of home in each whole run: what a user would notice first. */
const FIRST = ["exec", "stack", "dropin_session", "dropin_tools"].map((name) =>
  `tests/e2e/${name}_test.ts`
);

/** See `tests/support/program.ts`. */
const HOMES: Variant[] = ["empty-home", "read-only-home"];

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
  const everyHome = args.includes("--every-home");
  const options = args.filter((arg) => !chosen.includes(arg) && arg !== "--every-home");
  const files = (chosen.length > 0 ? chosen : ["tests"]).flatMap(testFilesIn).sort();
  const jobs = chosen.length === 0 && await isBuilt()
    ? withBuiltFile(files, { everyHome })
    : files.map((file) => ({ file }));

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

/** Builds the file, if it can be built here. */
async function isBuilt(): Promise<boolean> {
  if (["linux", "gzip", "tar", "sha256sum"].some((need) => !has(need))) return false;
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "scripts/build.ts"],
    stdin: "null",
  }).spawn().status;
  if (!success) throw new Error("Cannot test the built file: it was not built");
  return true;
}

/** The end-to-end tests with the built file, all others from the source tree. */
function withBuiltFile(files: string[], { everyHome }: { everyHome: boolean }): Job[] {
  const ends = files.filter((file) => file.startsWith("tests/e2e/") && !(file in SAME));
  const jobs: Job[] = files.map((file) =>
    ends.includes(file) ? { file, built: "relocated" } : { file }
  );
  jobs.push({ file: RELAY, built: "relocated" });
  for (const built of HOMES) {
    if (built === "read-only-home" && !has("namespaces")) continue;
    const chosen = (everyHome ? ends : FIRST)
      .filter((file) => built !== "read-only-home" || file !== SSHFS);
    jobs.push(...chosen.map((file) => ({ file, built })));
  }
  return jobs;
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
