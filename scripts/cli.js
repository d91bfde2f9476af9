// npm run app:cli, npm run start:worker: the built program while it is what the sources say, the sources otherwise. In
// this very process, so that signals reach it. Plain JavaScript, because Node 20 reads nothing else.
import { existsSync } from "node:fs";
import module from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const root = dirname(import.meta.dirname);

/** Null: there is no build, or it is old. */
async function builtProgram() {
  if (!existsSync(join(root, "dist/build.json"))) return null;
  module.enableCompileCache?.(join(root, "dist/cache")); // as cli.ts does
  try {
    const { programIsFresh } = await import("../dist/fresh.js");
    return (await programIsFresh(root)) ? await import("../dist/main.js") : null;
  } catch (error) {
    // Not there, or removed at this moment. Whatever else a build has, people shall see.
    if (error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND") return null;
    throw error;
  }
}

async function sources() {
  await import("tsx");
  return import(pathToFileURL(join(root, "src/commands/index.ts")).href);
}

const { main } = (await builtProgram()) ?? (await sources());
await main(process.argv.slice(2), root);
