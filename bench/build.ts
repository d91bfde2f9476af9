// Bundles what is measured into plain JavaScript, which is what the other contenders come as: nothing is stripped of its
// types while it is measured, and no compiler sits in the memory of a process.

import { execFile } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import type { BuildOptions, Plugin } from "esbuild";
import { root } from "./internals.ts";

const outdir = join(root, "bench/var/build");

/** Gives back the folder. Libraries stay outside and are found in node_modules; all contenders use the same pg. */
export async function buildChildren(): Promise<string> {
  await rm(outdir, { recursive: true, force: true });
  await build({
    entryPoints: { child: join(root, "bench/child.ts"), prisma: join(root, "bench/contenders/prisma.ts") },
    ...common(outdir),
    packages: "external",
  });
  return outdir;
}

/** The command line, as `npm run build` makes it of the sources as they are now. Gives back the script. */
export async function buildCli(): Promise<{ script: string; what: string }> {
  await promisify(execFile)(process.execPath, ["--import", "tsx", join(root, "scripts/build.ts"), "--no-types"], { cwd: root, timeout: 60_000 });
  return { script: join(root, "dist/cli.js"), what: "built, dist/cli.js" };
}

function common(outdir: string): BuildOptions {
  return {
    outdir,
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node24",
    outExtension: { ".js": ".mjs" },
    logLevel: "warning",
    plugins: [keepPlaces],
  };
}

/** Sources find package.json and the like from where they themselves are, which a bundle would make them forget. */
const keepPlaces: Plugin = {
  name: "keep-places",
  setup(build) {
    build.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const contents = source.replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href)).replaceAll("import.meta.dirname", JSON.stringify(dirname(path)));
      return { contents, loader: "ts" };
    });
  },
};
