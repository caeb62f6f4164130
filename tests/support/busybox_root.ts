/**
 * A directory that chroot and bwrap can make somebody's root: busybox, its tools, and on demand what a JavaScript
 * runtime wants. Needs `test.needs("root", "busybox")`, a busybox without libraries, as Debian's busybox-static.
 */

import { type TempDir, tempDir } from "./temp.ts";
import { findExecutable } from "./tools.ts";

export interface BusyboxRootOptions {
  /** Programs of busybox besides the few that a shell needs. */
  applets?: string[];
  /** glibc, and what else Deno needs of a Linux. Default false. */
  libraries?: boolean;
}

const APPLETS = ["sh", "cat", "env", "grep", "id", "kill", "setsid", "sleep"];

const LIBRARIES = "libc.so.6 libdl.so.2 libgcc_s.so.1 libm.so.6 libpthread.so.0 librt.so.1".split(
  " ",
);

/** Root is called `admin` there. */
export async function busyboxRoot(options: BusyboxRootOptions = {}): Promise<TempDir> {
  const { applets = [], libraries = false } = options;
  const root = await tempDir({ mode: 0o755 });
  for (const name of ["bin", "etc", "root", "dev", "proc"]) await Deno.mkdir(root.join(name));
  await Deno.mkdir(root.join("tmp"));
  await Deno.chmod(root.join("tmp"), 0o1777);
  // A changed root mounts none.
  const made = await new Deno.Command("mknod", {
    args: ["-m", "666", root.join("dev/null"), "c", "1", "3"],
  }).output();
  if (!made.success) throw new Error(new TextDecoder().decode(made.stderr));
  await Deno.copyFile(findExecutable("busybox")!, root.join("bin/busybox"));
  for (const applet of [...APPLETS, ...applets]) {
    await Deno.symlink("busybox", root.join(`bin/${applet}`));
  }
  await Deno.writeTextFile(root.join("etc/passwd"), "admin:x:0:0:root:/root:/bin/sh\n");
  if (libraries) {
    const isArm = Deno.build.arch === "aarch64";
    const loader = isArm ? "/lib/ld-linux-aarch64.so.1" : "/lib64/ld-linux-x86-64.so.2";
    const directory = `/lib/${Deno.build.arch}-linux-gnu`;
    for (const path of [loader, ...LIBRARIES.map((name) => `${directory}/${name}`)]) {
      await Deno.mkdir(root.join(path.slice(1, path.lastIndexOf("/"))), { recursive: true });
      await Deno.copyFile(path, root.join(path.slice(1)));
    }
  }
  return root;
}
