/** A tree with all that a transfer through a shell could get wrong, and what is compared of it. */

/** Every kind of entry, and names that a shell could mind. */
export async function makeTree(path: string): Promise<void> {
  await Deno.mkdir(`${path}/deep/empty`, { recursive: true });
  const big = new Uint8Array(3_000_001);
  for (let at = 0; at < big.length; at += 65536) {
    crypto.getRandomValues(big.subarray(at, at + 65536));
  }
  await Deno.writeFile(`${path}/big`, big, { mode: 0o640 });
  const names = ["-rf", "new\nline", "a 'b' \"c\" $HOME *", "$(id)", "\\", "é", ".hidden"];
  for (const name of names) await Deno.writeTextFile(`${path}/${name}`, name);
  for (let i = 0; i < 100; i++) await Deno.writeTextFile(`${path}/deep/${i}`, `file ${i}\n`);
  await Deno.symlink("no where", `${path}/-link`);
  await Deno.writeTextFile(`${path}/closed`, "", { mode: 0o400 });
  await Deno.utime(`${path}/closed`, 1e9, 1e9);
  await Deno.utime(`${path}/deep/empty`, 1e9, 1e9);
}

/** Type, mode, time, digest or target of all below `root`. */
export async function listing(root: string): Promise<string> {
  const script = `cd "$1" && find . -type l -printf '%p %l\\n' -o -type d -printf '%p %m\\n'` +
    ` -o -printf '%p %m %Ts %s\\n' | sort; find . -type f -exec sha256sum {} + | sort`;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script, "sh", root] }).output();
  return new TextDecoder().decode(stdout);
}
