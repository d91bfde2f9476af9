// Finds and loads outbox.config.ts. What may stand in it: OutboxConfig in config.ts.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { OutboxError } from "../outbox/errors.ts";
import { isFresh, readRecord } from "./build-record.ts";
import type { OutboxConfig } from "./config.ts";
import type { Loaded } from "./load-module.ts";
import { built, packageDir } from "./place.ts";

export interface ConfigFile {
  /** As people are told where a value came from. */
  readonly name: string;
  readonly config: OutboxConfig;
}

/** The first that is there counts. */
export const configNames = ["outbox.config.ts", "outbox.config.mts", "outbox.config.js", "outbox.config.mjs"] as const;

/** The configuration beside the program, in the folder `root`; an empty one when there is no file. */
export async function loadConfigFile(root: string): Promise<ConfigFile> {
  const name = configNames.find((each) => existsSync(join(root, each)));
  if (name === undefined) return { name: configNames[0], config: {} };
  const loaded = (await compiled(root, name)) ?? (await (await import("./load-module.ts")).loadModule(join(root, name)));
  if (typeof loaded.default === "object" && loaded.default !== null) return { name, config: loaded.default };
  throw new OutboxError("CONFIGURATION", `Expected ${name} to have "export default defineConfig({ … })", got ${typeof loaded.default}.`);
}

/** The copy that the build has made of a clone's own outbox.config.ts, if it still says the same: it needs no TypeScript. */
async function compiled(root: string, name: string): Promise<Loaded | null> {
  if (built === null || root !== packageDir || name !== "outbox.config.ts") return null;
  const record = readRecord(built.dist);
  if (!record?.config || !(await isFresh(packageDir, record.config))) return null;
  return (await import(pathToFileURL(join(built.dist, "app/outbox.config.js")).href)) as Loaded; // every module is such an object
}
