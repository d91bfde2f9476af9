// A clone of this repository as it is at this moment, to be built and changed by a test: its files are copies, its
// node_modules are ours.

import { execFile } from "node:child_process";
import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { root } from "./cli.ts";

const run = promisify(execFile);
const copied = ["cli.ts", "src", "scripts", "prisma", "generated", "package.json", "package-lock.json", "tsconfig.json", "tsconfig.types.json", "outbox.config.ts", "LICENSE", "README.md"];

export interface Clone {
  readonly folder: string;
  /** npm run build, with these flags. */
  build(...flags: string[]): Promise<void>;
  remove(): Promise<void>;
}

export async function clone(): Promise<Clone> {
  const folder = await mkdtemp(join(tmpdir(), "clone-"));
  for (const name of copied) await cp(join(root, name), join(folder, name), { recursive: true });
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
  return {
    folder,
    build: async (...flags) => {
      await run("npm", ["run", "-s", "build", "--", ...flags], { cwd: folder, timeout: 240_000 });
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
