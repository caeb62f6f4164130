/** sshfs, real and unmodified, over the drop-in: a host, a stack that ends in sudo, and where only the core has SFTP. */
import { createAccount } from "../support/accounts.ts";
import { assertEquals } from "../support/assert.ts";
import { noise } from "../support/file_bench.ts";
import { Workspace } from "../support/holdfast.ts";
import {
  describeProcesses,
  killProcesses,
  processesCarrying,
  waitUntilGone,
} from "../support/processes.ts";
import { programLine } from "../support/program.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const SERVERS = "/usr/lib/openssh";

const WAYS = {
  "a host": { target: "web1", sshd: {} },
  "a stack that ends in sudo": { target: "web1,sudo", sshd: {} },
  "a host that has no SFTP": {
    target: "web1",
    sshd: { sftp: false, mounts: { [SERVERS]: { empty: "1m" } } },
  },
} as const;

for (const [what, { target, sshd: options }] of Object.entries(WAYS)) {
  test.needs("sshd", "namespaces", "sudo", "sshfs", "fuse")(
    `dropin: sshfs mounts, reads, writes, renames and unmounts, over ${what}`,
    async () => {
      await using sshd = await startSshd(options);
      await using account = await createAccount({ runtimes: ["deno"], sudo: "nopasswd" });
      await using workspace = await Workspace.create();
      await workspace.addHost("web1", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      await account.write("tree/old", "old\n");
      const ssh = workspace.join("ssh");
      const line = `${programLine({ home: workspace.home })} ssh -F ${workspace.config}`;
      await Deno.writeTextFile(ssh, `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o755 });
      const here = workspace.join("mounted");
      await Deno.mkdir(here);
      const big = noise(5_000_001);
      await Deno.writeFile(workspace.join("big"), big);
      const there = `${account.home}/tree`;
      // In a mount namespace of its own, or every one that another test makes meanwhile would hold the mount, too. And
      // in processes of their own: what waits for a mount that is stuck can only be killed.
      const script = `set -e; there=$1 here=$2 big=$3; sshfs -o ssh_command="$0" "$there" "$here"
        (cd "$here"
        cat old; echo new >new; echo more >>new; mkdir -p deep/er; mv new deep/er/moved
        cp "$big" big; cmp "$big" big; truncate -s 5 deep/er/moved; ln -s er/moved deep/link; cat deep/link; echo
        echo other >other; mv other old; cat old; chmod 640 old; touch -d @1000000000 old
        touch gone; rm gone; mkdir empty; rmdir empty; ls -R)
        umount "$here"`;
      const words = ["unshare", "--mount", "sh", "-c", script, ssh, `${target}:${there}`, here];
      const { code, stdout, stderr } = await new Deno.Command("timeout", {
        args: ["60", ...words, workspace.join("big")],
        env: await workspace.env(),
        clearEnv: true,
      }).output();
      const [out, said] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      const left = await waitUntilGone(() => processesCarrying(here));
      await killProcesses(left);
      assertEquals([code, said, describeProcesses(left)], [0, "", ""]);
      assertEquals(
        out,
        "old\nnew\nm\nother\n.:\nbig\ndeep\nold\n\n./deep:\ner\nlink\n\n./deep/er:\nmoved\n",
      );

      // What was done there, not in a cache here.
      assertEquals(await Deno.readFile(`${there}/big`), big);
      assertEquals(await Deno.readTextFile(`${there}/deep/link`), "new\nm");
      assertEquals(await Deno.readTextFile(`${there}/old`), "other\n");
      const { mode, mtime, uid } = await Deno.stat(`${there}/old`);
      assertEquals([mode! & 0o777, mtime?.getTime()], [0o640, 1e12]);
      assertEquals(uid, target === "web1" ? account.uid : 0);
      assertEquals(await sshd.logins(), 1);
    },
  );
}
