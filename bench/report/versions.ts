// Which versions were measured, from what is installed.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { root } from "../internals.ts";

export async function versionsOfPeers(): Promise<string> {
  const names = ["pg-boss", "graphile-worker"];
  const versions = await Promise.all(
    names.map(async (name) => {
      const manifest = JSON.parse(await readFile(join(root, "bench/node_modules", name, "package.json"), "utf8")) as { version: string }; // npm's own file
      return `${name} ${manifest.version}`;
    }),
  );
  return versions.join(" and ");
}
