/** Any words through any login shell: as they are. */
import { loginShellLine } from "../../lib/master/login_shell_line.ts";
import { assertEquals } from "../support/assert.ts";
import { test } from "../support/test.ts";
import { findExecutable } from "../support/tools.ts";

const WORDS = [
  "plain",
  "",
  "a  b",
  "new\nline\n",
  "\n",
  "$HOME `id` $(id) ${x}",
  "'",
  "''\"\"",
  "\\",
  "\\'",
  "'\\''",
  "\\\\n\\0101\\c",
  "!!",
  "!x",
  "%s %d",
  "*",
  "~",
  "-n",
  "ünï €",
  "\x01\t\r\x7f;&|<>(){}[]#^",
];

for (const name of ["sh", "bash", "dash", "zsh", "ksh", "tcsh", "fish", "busybox"]) {
  test.needs(name)(`loginShellLine: every word arrives through ${name}`, async () => {
    const shell = findExecutable(name)!;
    const through = async (line: string) => {
      const args = [...name === "busybox" ? ["sh"] : [], "-c", line];
      const { stdout, stderr } = await new Deno.Command(shell, { args }).output();
      return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    };
    const wanted = (words: string[]) => words.map((word) => `${word}|`).join("");
    assertEquals(await through(loginShellLine(["printf", "%s|", ...WORDS])), wanted(WORDS));
    for (const word of WORDS) {
      assertEquals(await through(loginShellLine(["printf", "%s|", word])), wanted([word]));
    }
    // Quoted for one shell inside another, four deep.
    let line = loginShellLine(["printf", "%s|", ...WORDS]);
    for (let depth = 0; depth < 4; depth++) line = loginShellLine(["sh", "-c", line]);
    assertEquals(await through(line), wanted(WORDS));
  });
}
