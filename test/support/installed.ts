// An app in an empty folder that has installed the package as npm would publish it, and its dependencies, and nothing
// else: what the package forgets to bring or to name is missing here. No registry is asked.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { root } from "./cli.ts";
import { clone } from "./clone.ts";

const run = promisify(execFile);

export interface Installed {
  readonly folder: string;
  /** Every file of the package. */
  readonly packed: readonly string[];
  /** Adds a file to the app. */
  file(path: string, text: string): Promise<void>;
  /** Makes a package of ours the app's too. */
  add(name: string): Promise<void>;
  remove(): Promise<void>;
}

export async function installed(): Promise<Installed> {
  const folder = await mkdtemp(join(tmpdir(), "app-"));
  const from = await clone();
  try {
    // --foreground-scripts: what prepack says when it fails.
    const { stdout } = await run("npm", ["pack", "--json", "--foreground-scripts", "--pack-destination", folder], { cwd: from.folder, timeout: 240_000 });
    const answer = JSON.parse(stdout.slice(stdout.indexOf("[\n"))) as [{ filename: string; files: { path: string }[] }]; // npm's
    const home = join(folder, "node_modules/postcommit");
    await mkdir(home, { recursive: true });
    await run("tar", ["-xzf", join(folder, answer[0].filename), "-C", home, "--strip-components=1"]);
    const { dependencies, bin } = JSON.parse(await readFile(join(home, "package.json"), "utf8")) as { dependencies: object; bin: { postcommit: string } };
    const add = async (name: string) => {
      await mkdir(dirname(join(folder, "node_modules", name)), { recursive: true });
      await symlink(join(root, "node_modules", name), join(folder, "node_modules", name));
    };
    for (const name of Object.keys(dependencies)) await add(name);
    await mkdir(join(folder, "node_modules/.bin"));
    await symlink(join("../postcommit", bin.postcommit), join(folder, "node_modules/.bin/postcommit"));
    await writeFile(join(folder, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }));
    return {
      folder,
      packed: answer[0].files.map(({ path }) => path),
      file: async (path, text) => {
        await mkdir(dirname(join(folder, path)), { recursive: true });
        await writeFile(join(folder, path), text);
      },
      add,
      remove: () => rm(folder, { recursive: true, force: true }),
    };
  } finally {
    await from.remove();
  }
}
