// npm run build: makes dist/ of the sources. dist/cli.js is the command line; dist/index.js, jobs.js and testing.js are
// the library; they share their chunks. Why so, and what it gains: docs/adr/0014-the-built-program.md.
//   --out FOLDER   elsewhere than dist, beside a package.json
//   --no-types     without the declarations, which take longest
//   --package      for npm: without what an earlier build has left, and with lines to type as an app types them
import { readdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundle } from "./build/bundle.ts";
import { makeRecord } from "./build/record.ts";
import { declare } from "./build/types.ts";
import { replaceBuild } from "./build/write.ts";

const root = dirname(import.meta.dirname);
const { values } = parseArgs({
  options: { out: { type: "string", default: "dist" }, "no-types": { type: "boolean", default: false }, package: { type: "boolean", default: false } },
});
const dist = resolve(root, values.out);

const { files, read } = await bundle(root, { forApps: values.package });
const builders = (await readdir(join(import.meta.dirname, "build"))).map((name) => join(import.meta.dirname, "build", name));
const record = await makeRecord(root, read, [join(root, "package.json"), join(root, "tsconfig.json"), import.meta.filename, ...builders]);
await replaceBuild(dist, files, record, { clean: values.package });
if (!values["no-types"]) await declare(root, join(dist, "types"));
