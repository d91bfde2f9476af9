// Loads a file of the app's: outbox.config.ts, a handler. In TypeScript if need be, whatever runs this program.

import { createRequire, register } from "node:module";
import { extname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { OutboxError } from "../outbox/errors.ts";
import { built, packageDir } from "./place.ts";

/** Every module is such an object. */
export type Loaded = Readonly<Record<string, unknown>>;

export async function loadModule(path: string): Promise<Loaded> {
  if (built === null) nameTheSources();
  else if (/^\.[mc]?ts$/.test(extname(path)) && !knowsTypeScript()) await (teaching ??= teachTypeScript(path));
  return (await import(pathToFileURL(path).href)) as Loaded;
}

/** For whoever seals the process before the app's files are loaded, for tsx opens a connection of its own. `root`: the app's folder. */
export async function prepareForTypeScript(root: string): Promise<void> {
  const path = join(root, "package.json");
  if (built !== null && !knowsTypeScript() && whereTsxIs(path) !== null) await (teaching ??= teachTypeScript(path));
}

let teaching: Promise<void> | null = null;

/** Node strips types itself from 22.18 on. Earlier ones do not say anything about it. */
function knowsTypeScript(): boolean {
  return Boolean("typescript" in process.features && process.features.typescript);
}

/** tsx takes some 100 ms to load, so it is loaded only where Node needs it. */
async function teachTypeScript(path: string): Promise<void> {
  const tsx = whereTsxIs(path);
  if (tsx === null) {
    throw new OutboxError(
      "CONFIGURATION",
      `Expected Node 22.18 or later, or the package tsx, to read ${path}: this is Node ${process.versions.node}, which knows no TypeScript, and tsx is not installed. ` +
        "Install it (npm install tsx), or write the file in JavaScript (outbox.config.mjs).",
    );
  }
  await import(pathToFileURL(tsx).href); // as `node --import tsx` does
}

/** The app's own before ours. */
function whereTsxIs(path: string): string | null {
  for (const from of [path, join(packageDir, "package.json")]) {
    try {
      return createRequire(from).resolve("tsx");
    } catch {
      continue; // not there
    }
  }
  return null;
}

let named = false;

/**
 * A configuration says `import { defineConfig } from "postcommit"`. While the sources run, that must lead to them, not
 * to a build that may be old or missing. Who starts Node with `--conditions postcommit-source` has said so already.
 */
function nameTheSources(): void {
  if (named) return;
  named = true;
  const sources = { postcommit: "src/index.ts", "postcommit/jobs": "src/jobs.ts", "postcommit/testing": "src/testing/index.ts" };
  if (resolvesTo(join(packageDir, sources.postcommit))) return;
  const urls = Object.fromEntries(Object.entries(sources).map(([name, path]) => [name, pathToFileURL(join(packageDir, path)).href]));
  const hook = `const urls = ${JSON.stringify(urls)};
    export const resolve = (name, context, next) => next(Object.hasOwn(urls, name) ? urls[name] : name, context);`;
  register(`data:text/javascript,${encodeURIComponent(hook)}`);
}

function resolvesTo(path: string): boolean {
  try {
    return createRequire(import.meta.url).resolve("postcommit") === path;
  } catch {
    return false; // it leads to a build that is not there
  }
}
