// The version of this package, as package.json has it.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { built, packageDir } from "./place.ts";

export const version = built?.version ?? (JSON.parse(readFileSync(join(packageDir, "package.json"), "utf8")) as { version: string }).version; // our own file
