/** Ansible, as Debian packages it, over the drop-in: three hosts at once, two of which are stacks. */
import { assert, assertEquals } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { programLine } from "../support/program.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const TARGETS = { one: "web1", root: "web1,sudo", deep: "web1,sudo,local" };

for (const runtime of ["deno", "none"] as const) {
  test.needs("sshd", "namespaces", "sudo", "ansible-playbook", "python3", "sftp")(
    `dropin: ansible, on ${runtime === "none" ? "no runtime" : runtime}`,
    async () => {
      await using sshd = await startSshd();
      await using account = await createAccount({
        runtimes: runtime === "none" ? [] : [runtime],
        sudo: "nopasswd",
      });
      await Deno.chmod(account.home, 0o755);
      await using workspace = await Workspace.create();
      await workspace.addHost("web1", { user: account.name, port: sshd.port });
      await workspace.trust(sshd);
      const ssh = workspace.join("ssh-here");
      const line = `${programLine({ home: workspace.home })} ssh -F "${workspace.config}"`;
      await Deno.writeTextFile(ssh, `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o755 });
      const inventory = Object.entries(TARGETS).map(([name, target]) =>
        `${name} ansible_host=${target} ansible_remote_tmp=${account.home}/tmp-${name}\n`
      );
      await Deno.writeTextFile(workspace.join("inventory"), inventory.join(""));
      const there = `${account.home}/{{ inventory_hostname }}`;
      const play = [{
        hosts: "all",
        gather_facts: false,
        vars: { ansible_python_interpreter: "/usr/bin/python3" },
        tasks: [
          { ping: {} },
          { copy: { src: workspace.join("file"), dest: `${there}.copied`, mode: "0640" } },
          { template: { src: workspace.join("template"), dest: `${there}.made` } },
          { fetch: { src: `${there}.copied`, dest: workspace.join("fetched/"), flat: true } },
          { command: "id -un", become: true, register: "who" },
          { copy: { content: "{{ who.stdout }}", dest: `${there}.who` } },
          // Once more: nothing is left to do.
          { copy: { src: workspace.join("file"), dest: `${there}.copied`, mode: "0640" } },
        ],
      }];
      await Deno.writeTextFile(workspace.join("play.json"), JSON.stringify(play));
      await Deno.mkdir(workspace.join("fetched"));
      const content = crypto.getRandomValues(new Uint8Array(60_000));
      await Deno.writeFile(workspace.join("file"), content);
      await Deno.writeTextFile(workspace.join("template"), "I am {{ inventory_hostname }}\n");
      const { code, stdout, stderr } = await new Deno.Command("ansible-playbook", {
        args: ["-i", workspace.join("inventory"), workspace.join("play.json")],
        env: {
          ...await workspace.env(),
          ANSIBLE_SSH_EXECUTABLE: ssh,
          // sftp looks for its ssh by itself.
          ANSIBLE_SFTP_EXTRA_ARGS: `-S ${ssh}`,
          ANSIBLE_FORKS: "3",
          LC_ALL: "C.UTF-8",
        },
        clearEnv: true,
      }).output();
      const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      assertEquals(code, 0, said);
      assert(!said.includes("WARNING"), said);
      assertEquals(said.match(/ok=7 +changed=5 /g)?.length, 3, said);
      for (const name of Object.keys(TARGETS)) {
        const made = `${account.home}/${name}`;
        assertEquals(await Deno.readFile(`${made}.copied`), content);
        assertEquals(await Deno.readTextFile(`${made}.made`), `I am ${name}\n`);
        assertEquals(await Deno.readTextFile(`${made}.who`), "root");
        assertEquals(await Deno.readFile(workspace.join(`fetched/${name}.copied`)), content);
        const { uid, mode } = await Deno.stat(`${made}.copied`);
        assertEquals([uid, mode! & 0o777], [name === "one" ? account.uid : 0, 0o640]);
      }
      assertEquals(await sshd.logins(), 1);
    },
  );
}
