/**
 * `-V`, `-Q` and `-G`: what other programs ask ssh before they use it. The system's ssh answers where there is one;
 * these are the answers where there is none, and of `-G` for stacks, which it does not know.
 */
import { parseTarget } from "../rendezvous/target.ts";
import { VERSION } from "../rendezvous/version.ts";
import { SSH_QUERIES } from "./ssh_queries.ts";
import type { SshCommandLine, SshRequest } from "./ssh_request.ts";
import { findSystemSsh, handOver } from "./system_ssh.ts";
import { userHere } from "./user_here.ts";

type Question = Exclude<SshCommandLine, { kind: "wrong" }>;

/** Answers, with `words` the whole command line; resolves with the exit status. */
export async function answer(question: Question, words: readonly string[]): Promise<number> {
  const isStack = question.kind === "request" && question.isStack;
  if (!isStack && findSystemSsh()) return await handOver(words, { why: words[0] });
  if (question.kind === "version") console.error(`Holdfast_${VERSION}, no OpenSSH`);
  else if (question.kind === "query") return list(question.query);
  else console.log(describe(question).map((line) => line.join(" ")).join("\n"));
  return 0;
}

function list(query: string): number {
  const name = query.toLowerCase();
  if (name === "help") {
    console.log(Object.keys(SSH_QUERIES).join("\n"));
  } else if (Object.hasOwn(SSH_QUERIES, name)) {
    console.log(SSH_QUERIES[name].join("\n"));
  } else {
    console.error(`Unsupported query ${JSON.stringify(query)}`);
    return 255;
  }
  return 0;
}

/** What the words alone say: where it leads and who one is there. */
function describe(request: SshRequest): [keyword: string, value: string][] {
  const hops = parseTarget(request.destination);
  const ssh = hops.findLast((hop) => hop.method === "ssh");
  const last = hops.at(-1)!;
  const login = ssh?.user ?? request.ssh.user ?? userHere();
  const become = last.method === "sudo" || last.method === "su" || last.method === "doas";
  return [
    ["host", request.destination],
    ["user", become ? last.argument ?? "root" : login],
    ["hostname", ssh?.host ?? "localhost"],
    ["port", String(ssh?.port ?? request.ssh.port ?? 22)],
    ["requesttty", request.terminal ?? "auto"],
    ["sessiontype", request.session ?? "default"],
  ];
}
