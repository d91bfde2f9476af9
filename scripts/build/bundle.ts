// The JavaScript of dist/: one bundle with several entries, so that the command line and the library share their chunks
// and an error of one is an error of the other. Next: chunks.ts (which file has what), record.ts.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import type { Plugin } from "rolldown";
import { rolldown } from "rolldown";
import type { ChunkOf } from "./chunks.ts";
import { bundledPackages, findStarts } from "./chunks.ts";

export interface Bundled {
  /** By their paths in dist/. */
  readonly files: ReadonlyMap<string, string>;
  /** Every file that went into it, by its absolute path, with a hash of what was read. */
  readonly read: ReadonlyMap<string, string>;
}

/** What pg asks for only where it is. */
const optional = ["pg-native", "pg-cloudflare", "cloudflare:sockets"];

/** outbox.config.ts of this clone, compiled: Node 20 could not read it without a compiler in every drain. */
export const configEntry = "app/outbox.config";

/** `forApps`: for those who install the package, and do not have the scripts of this clone. */
export async function bundle(root: string, { forApps }: { readonly forApps: boolean }): Promise<Bundled> {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }; // our own file
  const read = new Map<string, string>();
  let chunkOf: ChunkOf = () => null;
  const config = join(root, "outbox.config.ts");
  const made = await rolldown({
    cwd: root,
    input: {
      cli: "cli.ts",
      main: "src/commands/main.ts",
      fresh: "src/service/build-record.ts",
      index: "src/index.ts",
      jobs: "src/jobs.ts",
      http: "src/http.ts",
      testing: "src/testing/index.ts",
      ...(existsSync(config) && { [configEntry]: config }),
    },
    platform: "node",
    resolve: { conditionNames: ["postcommit-source", "node", "default"] },
    external: (name, importer) => !isInside(name, importer),
    transform: {
      target: "node20.19",
      define: {
        builtVersion: JSON.stringify(version), // src/service/place.ts
        // pg asks whether this is Cloudflare, which in Node 20 loads all of fetch: a fifth of an empty drain.
        navigator: JSON.stringify({ userAgent: "Node.js" }),
      },
    },
    plugins: [remember(read), lighten, ...(forApps ? [asAppsType] : []), findStarts(root, (found) => (chunkOf = found))],
    onLog(level, log) {
      // That a module is imported both ways is for the chunks below to say.
      if (level === "warn" && log.code !== "INEFFECTIVE_DYNAMIC_IMPORT") throw new Error(`the bundler warns: ${log.message}`);
    },
  });
  const { output } = await made.generate({
    format: "esm",
    sourcemap: true,
    sourcemapExcludeSources: true,
    chunkFileNames: "chunks/[name]-[hash:8].js",
    hashCharacters: "hex",
    comments: { legal: true, annotation: false, jsdoc: false },
    entryFileNames: "[name].js",
    codeSplitting: { groups: [{ name: (path) => chunkOf(path), debugName: "starts" }] },
  });
  await made.close();
  // In capitals, as failures are told apart: by the frame without the hash (outbox_top_frame in prisma/migrations).
  const hashes = new Set(output.flatMap((file) => /-[0-9a-f]{8}(?=\.js)/.exec(file.fileName) ?? []));
  const inCapitals = (text: string) => text.replaceAll(/-[0-9a-f]{8}(?=\.js)/g, (hash) => (hashes.has(hash) ? hash.toUpperCase() : hash));
  // cli.ts says how the sources are run; what is built needs Node alone.
  const textOf = (file: (typeof output)[number]) => (file.type === "chunk" ? file.code.replace(/^#!.*/, "#!/usr/bin/env node") : asText(file.source));
  const files = new Map(output.map((file) => [inCapitals(file.fileName), inCapitals(textOf(file))]));
  files.set("third-party.txt", licencesOf(read.keys()));
  return { files, read };
}

/** Of the packages that stand inside the bundle: their licences want to go with every copy. */
function licencesOf(paths: Iterable<string>): string {
  const folders = new Set([...paths].flatMap((path) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []));
  const texts = [...folders].sort().map((folder) => {
    const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { name: string; version: string }; // every package has them
    const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
    if (file === undefined) return `${name} ${version}\n\nIts package has no file with its licence; see https://www.npmjs.com/package/${name}.\n`;
    return `${name} ${version}\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
  });
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}

/** The program says what to type next: in a clone `npm run app:cli -- jobs:retry …`, in an app `npx postcommit jobs:retry …`. */
const asAppsType: Plugin = {
  name: "as-apps-type",
  transform(code, path) {
    if (path.includes("/node_modules/") || !/npm run (-s )?(app:cli|start:worker)/.test(code)) return null;
    return { code: code.replaceAll(/npm run (?:-s )?app:cli(?: --)?(?=[ `"'])/g, "npx postcommit").replaceAll(/npm run (?:-s )?start:worker/g, "npx postcommit jobs:worker"), map: null }; // line for line the same
  },
};

/** commander loads what it starts other programs by, and with it the network, for a feature that is not used here. */
const lighten: Plugin = {
  name: "lighten",
  transform(code, path) {
    if (!path.endsWith("/commander/lib/command.js")) return null;
    const lazy = code.replace(/^const childProcess = require\((['"])node:child_process\1\);$/m, "const childProcess = { get spawn() { return require('node:child_process').spawn; } };");
    if (lazy === code) throw new Error("commander loads node:child_process in another way than it did: look at its lib/command.js and mend scripts/build/bundle.ts");
    return { code: lazy, map: null }; // line for line the same
  },
};

function isInside(name: string, importer: string | undefined): boolean {
  if (optional.includes(name) || name.startsWith("node:")) return false;
  if (/^[./]/.test(name) || name.startsWith("postcommit")) return true;
  return bundledPackages.includes(name) || (importer?.includes("/node_modules/") === true && !isBuiltin(name));
}

function remember(read: Map<string, string>): Plugin {
  return {
    name: "remember",
    transform(code, path) {
      if (!path.startsWith("\0")) read.set(path, createHash("sha1").update(code).digest("hex"));
    },
  };
}

function asText(source: string | Uint8Array): string {
  return typeof source === "string" ? source : Buffer.from(source).toString("utf8");
}
