/** Opens hops on node or bun, for `open_hop_test.ts`: says what it was asked and what came back. */
import { nodeHost } from "../../lib/files/host_node.ts";
import { openHop } from "../../lib/parent/open_hop.ts";

/** A function because the bundle is a script, which cannot wait at its top. */
async function main(): Promise<void> {
  const host = nodeHost();
  const say: string[] = [];
  const child = await openHop(host, { method: "su", label: "web1,su" }, {
    line: "exec cat",
    ask({ hop, prompt, attempt }) {
      say.push(`${host.runtime} attempt ${attempt} of ${hop}: ${prompt}`);
      return Promise.resolve("secret");
    },
  });
  await child.stdin.write(new TextEncoder().encode("hello\n"));
  await child.stdin.close();
  let text = "";
  for (let bytes = await child.stdout.read(); bytes; bytes = await child.stdout.read()) {
    text += new TextDecoder().decode(bytes);
  }
  say.push(text.trim());
  child.stderr.cancel();
  await child.exit;

  await openHop(host, { method: "su", label: "web1,su=wrong" }, {
    line: "exec cat",
    ask: () => Promise.resolve("wrong"),
  }).catch((error) => say.push(error.message));
  console.log(say.join("\n"));
}

void main();
