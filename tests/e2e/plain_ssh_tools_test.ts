/** What starts the system's ssh by itself, over a connection that the daemon holds: sftp, scp, rsync, git. */
import { assert, assertEquals } from "../support/assert.ts";
import { test } from "../support/test.ts";
import { inWorld } from "./plain_ssh_world.ts";

const hosts = test.needs(
  ...["linux", "sshd", "ssh", "namespaces", "bash", "sftp", "scp", "rsync", "git"],
);

for (const runtime of ["deno", "none"] as const) {
  hosts(
    `plain ssh: sftp, scp, rsync and git, on ${runtime}`,
    (t) =>
      inWorld({ runtime }, async ({ overHeld, leftOpen }) => {
        const works = async (line: string) => {
          const ran = await overHeld(`set -e; cd "$FILES"; ${line}`, {
            env: { GIT_CONFIG_NOSYSTEM: "1" },
          });
          assertEquals(ran.code, 0, ran.stderr);
          return ran.stdout;
        };
        await works(
          "mkdir tree; head -c 3000000 /dev/urandom > tree/big; echo small > 'tree/sm all'; " +
            "ln -s big tree/link; chmod 640 tree/big",
        );

        await t.step("sftp", async () => {
          const shown = await works(
            "printf 'put -r tree there\\nls -1 there\\nget -p there/big got\\n' | " +
              'sftp -q -F "$CONFIG" -b - web1; cmp tree/big got',
          );
          assert(shown.includes("there/big"), shown);
        });

        await t.step("scp, in both of its protocols", async () => {
          for (const [at, how] of ["", "-O"].entries()) {
            await works(
              `scp -q ${how} -F "$CONFIG" -rp tree web1:scp${at}; ` +
                `scp -q ${how} -F "$CONFIG" -rp web1:scp${at} back${at}; ` +
                `cmp tree/big back${at}/big; cmp 'tree/sm all' 'back${at}/sm all'`,
            );
          }
        });

        await t.step("rsync", async () => {
          await works(
            `export RSYNC_RSH="ssh -F $CONFIG"; rsync -a tree/ web1:synced/; ` +
              "echo more >> tree/big; rsync -a --delete tree/ web1:synced/; " +
              "rsync -a web1:synced/ synced/; diff -r tree synced; [ -h synced/link ]",
          );
        });

        await t.step("git", async () => {
          await works(
            `export GIT_SSH_COMMAND="ssh -F $CONFIG"; ssh web1 git init -q --bare -b main x.git; ` +
              "git init -q -b main work; cp tree/big work; cd work; git add .; " +
              "git -c user.name=a -c user.email=a@b commit -qm one; " +
              "git push -q web1:x.git main; cd ..; git clone -q web1:x.git clone; " +
              "cmp tree/big clone/big; git -C clone fetch -q",
          );
        });

        assertEquals(await leftOpen(), []);
      }),
  );
}
