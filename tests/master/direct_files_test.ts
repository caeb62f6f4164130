/** Files of a direct target on a real sshd, for an account that is not root: over SFTP, and through a shell without it. */

import { fetchFiles, putFiles } from "../../lib/client/transfer.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { FileService } from "../../lib/files/file_service.ts";
import type { Host } from "../../lib/core/host.ts";
import type { HostFiles } from "../../lib/master/held_files.ts";
import { loginShellLine } from "../../lib/master/login_shell_line.ts";
import { sftpFiles } from "../../lib/master/sftp_files.ts";
import { shellFiles } from "../../lib/master/shell_files.ts";
import type { SshConnection } from "../../lib/master/ssh_connection.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { type ContextPair, contextPair } from "../support/context_pair.ts";
import { has } from "../support/needs.ts";
import type { SshdOptions } from "../support/sshd.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { findExecutable } from "../support/tools.ts";
import { closing, sshTest, startWorld, type World } from "./ssh_fixture.ts";

/** How files are served: the server's SFTP, or a shell with the tools of some origin. */
type Kind = "sftp" | "sh" | "bash" | "busybox" | "bare sh";
const KINDS: Kind[] = [
  "sftp",
  "sh",
  "bash",
  ...has("busybox") ? ["busybox" as const] : [],
  "bare sh",
];

/** Programs besides the shell's own that it takes at the least, and that POSIX has, but for `readlink` and `stat`. */
const BARE = "cat chmod cksum dd ln ls mkdir mv readlink rm rmdir stat sync tail touch".split(" ");

interface Served extends AsyncDisposable {
  world: World;
  host: Host;
  pair: ContextPair;
  /** The path of `name` in the account's home on this machine. */
  home(name: string): string;
  endSession(): void;
}

async function serve(kind: Kind, sshd: SshdOptions = {}): Promise<Served> {
  await using stack = new AsyncDisposableStack();
  const world = stack.use(await startWorld({ sshd }));
  const connection = await world.connect();
  stack.defer(() => closing(connection));
  const bin = stack.use(await tempDir({ mode: 0o755 }));
  const { files, end } = await session(kind, connection, bin);
  const host = { ...files, runtime: "direct", home: () => "" } as unknown as Host;
  const pair = stack.use(contextPair({ services: { file: new FileService(host).service } }));
  const moved = stack.move();
  return {
    world,
    host,
    pair,
    home: (name) => `${world.account.home}/${name}`,
    endSession: end,
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

async function session(
  kind: Kind,
  connection: SshConnection,
  bin: TempDir,
): Promise<{ files: HostFiles; end(): void }> {
  if (kind === "sftp") {
    const wrapper = await connection.sftp();
    return { files: sftpFiles(wrapper), end: () => wrapper.end() };
  }
  const shells = { sh: ["sh"], bash: ["bash"], busybox: [], "bare sh": [] };
  let prefix: string[] = shells[kind];
  if (kind === "busybox") {
    await new Deno.Command(findExecutable("busybox")!, { args: ["--install", "-s", bin.path] })
      .output();
    prefix = ["env", `PATH=${bin.path}`, "busybox", "sh"];
  }
  if (kind === "bare sh") {
    for (const name of BARE) await Deno.symlink(findExecutable(name)!, bin.join(name));
    prefix = ["env", `PATH=${bin.path}`, findExecutable("sh")!];
  }
  const { files, close } = await shellFiles(([, ...words]) =>
    connection.exec(loginShellLine([...prefix, ...words]))
  );
  return { files, end: close };
}

/** Type, mode, time in seconds and content or target of everything below `root`. */
function snapshot(root: string, at = ""): string[] {
  const path = root + at;
  const info = Deno.lstatSync(path);
  if (info.isSymlink) return [`${at} link ${Deno.readLinkSync(path)}`];
  const mode = (info.mode! & 0o7777).toString(8);
  const head = `${at} ${mode} ${Math.floor(info.mtime!.getTime() / 1000)}`;
  if (info.isFile) return [`${head} ${fingerprint(Deno.readFileSync(path))}`];
  const names = [...Deno.readDirSync(path)].map(({ name }) => name).sort();
  return [head, ...names.flatMap((name) => snapshot(root, `${at}/${name}`))];
}

function fingerprint(bytes: Uint8Array): string {
  let hash = 0;
  for (const byte of bytes) hash = (hash * 31 + byte) >>> 0;
  return `${bytes.length} ${hash}`;
}

function noise(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at++) bytes[at] = (at * 2654435761) >>> 13;
  return bytes;
}

for (const kind of KINDS) {
  sshTest(`${kind}: a tree put and fetched back is the same`, async () => {
    await using served = await serve(kind);
    await using dir = await tempDir();
    const tree = dir.join("tree");
    await Deno.mkdir(`${tree}/empty`, { recursive: true });
    await Deno.mkdir(`${tree}/closed`);
    for (const size of [0, 1, 32767, 32768, 32769, 300_000, 3 << 20, (5 << 20) + 1]) {
      await Deno.writeFile(`${tree}/${size}`, noise(size));
    }
    for (const name of ["a b", "line\nbreak", "-rf", "é", "x".repeat(255)]) {
      await Deno.writeTextFile(`${tree}/${name}`, name);
    }
    for (const mode of [0o600, 0o444, 0o777, 0o4755]) {
      await Deno.writeTextFile(`${tree}/m${mode}`, "x");
      await Deno.chmod(`${tree}/m${mode}`, mode);
    }
    await Deno.symlink("no where", `${tree}/link`);
    await Deno.writeTextFile(`${tree}/closed/file`, "x");
    await Deno.chmod(`${tree}/closed`, 0o555);
    await Deno.utime(`${tree}/closed`, 1e9, 1e9);
    await Deno.utime(tree, 1e9, 1e9);
    for (const name of ["1", "300000", "3145728"]) await Deno.utime(`${tree}/${name}`, 1e9, 1e9);
    const { parent } = served.pair;
    const totals = await putFiles(parent, 1, { sources: [tree], destination: "copy" });
    assertEquals([totals.directories, totals.files, totals.links], [3, 18, 1]);
    assertEquals(snapshot(served.home("copy")), snapshot(tree));
    await fetchFiles(parent, 1, { sources: ["copy"], destination: dir.join("back") });
    assertEquals(snapshot(dir.join("back")), snapshot(tree));
  });

  sshTest(
    `${kind}: a fresh tree that fails leaves nothing, closed directories included`,
    async () => {
      await using served = await serve(kind);
      await using dir = await tempDir();
      await Deno.mkdir(dir.join("tree/a/b"), { recursive: true });
      for (let i = 0; i < 50; i++) await Deno.writeTextFile(dir.join(`tree/a/b/${i}`), "x");
      await Deno.chmod(dir.join("tree/a/b"), 0o500);
      await Deno.chmod(dir.join("tree/a"), 0);
      await served.world.account.write("into/kept", "kept");
      const host: Host = {
        ...served.host,
        // All of it is there by then.
        rename: () => Promise.reject(new HoldfastError("io", "it broke")),
      };
      await using pair = contextPair({ services: { file: new FileService(host).service } });
      const putting = () =>
        putFiles(pair.parent, 1, { sources: [dir.join("tree")], destination: "into" });
      await assertRejects(putting, HoldfastError, "it broke");
      assertEquals([...Deno.readDirSync(served.home("into"))].map(({ name }) => name), ["kept"]);
    },
  );

  sshTest(`${kind}: a file is replaced, and its mode does not depend on the umask`, async () => {
    await using served = await serve(kind);
    await using dir = await tempDir();
    await Deno.writeTextFile(dir.join("new"), "new");
    await Deno.chmod(dir.join("new"), 0o666);
    await served.world.account.write("file", "old");
    await putFiles(served.pair.parent, 1, { sources: [dir.join("new")], destination: "file" });
    assertEquals(await Deno.readTextFile(served.home("file")), "new");
    assertEquals((await Deno.stat(served.home("file"))).mode! & 0o777, 0o666);
  });

  sshTest(`${kind}: refusals have their kinds and say what they are`, async () => {
    await using served = await serve(kind);
    const { host, world } = served;
    const refused = async (work: Promise<unknown>, kind: string, text: string) => {
      const error = await assertRejects(() => work, HoldfastError, text);
      assertEquals(error.kind, kind);
    };
    await refused(host.stat("absent"), "not_found", `"absent": no such file or directory`);
    await refused(host.openRead("/etc/shadow"), "permission", `"/etc/shadow": permission denied`);
    await refused(host.create("/file"), "permission", `Cannot create "/file": permission denied`);
    await refused(host.mkdir("/etc/x", 0o700), "permission", "permission denied");
    await world.account.write("file", "old");
    await host.mkdir("directory", 0o700);
    await refused(host.rename("file", "directory"), "io", `"directory": it is a directory`);
    await refused(host.create("file"), "io", `Cannot create "file"`);
    await host.remove("directory");
    assertEquals((await host.readDir("")).includes("file"), true);
    assertEquals((await host.readDir("")).includes("directory"), false);
  });

  sshTest(`${kind}: when the session ends, what waits and what comes later fails`, async () => {
    await using served = await serve(kind);
    const { host } = served;
    await host.stat("");
    served.endSession();
    for (let round = 0; round < 2; round++) {
      const error = await assertRejects(() => host.stat(""), HoldfastError);
      assertEquals(error.kind, "disconnected");
    }
  });

  sshTest(`${kind}: an unwritable directory fails the transfer and leaves nothing`, async () => {
    await using served = await serve(kind);
    await using dir = await tempDir();
    await Deno.writeTextFile(dir.join("file"), "x");
    const putting = () =>
      putFiles(served.pair.parent, 1, { sources: [dir.join("file")], destination: "/etc/" });
    const error = await assertRejects(putting, HoldfastError);
    assertEquals(error.kind, "permission");
    assertEquals(error.message, `Cannot create "/etc/file": permission denied`);
  });

  if (has("namespaces")) {
    sshTest(`${kind}: a full disk is told as such, the old file stays and no litter`, async () => {
      await using served = await serve(kind, { hideRuntimes: false }); // in our mount namespace
      await using dir = await tempDir();
      await Deno.writeFile(dir.join("big"), noise(6 << 20));
      const small = served.home("small");
      await Deno.mkdir(small);
      const mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0777", "tmpfs", small];
      assert((await new Deno.Command(mount[0], { args: mount.slice(1) }).output()).success);
      try {
        await served.world.account.write("small/big", "old");
        const putting = () =>
          putFiles(served.pair.parent, 1, { sources: [dir.join("big")], destination: "small" });
        const error = await assertRejects(putting, HoldfastError);
        assertEquals(error.message, `Cannot write "small/big": no space left on the device`);
        assertEquals([...Deno.readDirSync(small)].map(({ name }) => name), ["big"]);
        assertEquals(await Deno.readTextFile(`${small}/big`), "old");
      } finally {
        await new Deno.Command("umount", { args: [small] }).output();
      }
    });
  }
}

for (const tool of ["sha256sum", "openssl", "cksum"]) {
  sshTest(`shell files: content that arrives damaged is refused (${tool})`, async () => {
    await using world = await startWorld();
    const connection = await world.connect();
    await using bin = await tempDir({ mode: 0o755 });
    const programs = new Set([...BARE, "tr", tool]);
    programs.delete("cat");
    for (const name of programs) await Deno.symlink(findExecutable(name)!, bin.join(name));
    const cat = `#!/bin/sh\n${findExecutable("cat")} "$@" | tr x y\n`;
    await Deno.writeTextFile(bin.join("cat"), cat, { mode: 0o755 });
    const { files, close } = await shellFiles(([, ...words]) =>
      connection.exec(
        loginShellLine(["env", `PATH=${bin.path}`, findExecutable("sh")!, ...words]),
      )
    );
    const host = { ...files, runtime: "direct", home: () => "" } as unknown as Host;
    await using pair = contextPair({ services: { file: new FileService(host).service } });
    await using dir = await tempDir();
    await world.account.write("into/file", "old");
    const put = async (content: string) => {
      await Deno.writeTextFile(dir.join("file"), content);
      return await putFiles(pair.parent, 1, { sources: [dir.join("file")], destination: "into" });
    };
    const error = await assertRejects(() => put("abcx".repeat(100_000)), HoldfastError);
    assertEquals(error.kind, "corrupt");
    const into = `${world.account.home}/into`;
    assertEquals([...Deno.readDirSync(into)].map(({ name }) => name), ["file"]);
    assertEquals(await Deno.readTextFile(`${into}/file`), "old");
    assertEquals((await put("abc")).files, 1);
    assertEquals(await Deno.readTextFile(`${into}/file`), "abc");
    close();
    await closing(connection);
  });
}
