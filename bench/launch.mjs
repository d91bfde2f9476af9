// Starts the benchmark under the Node that npm put into node_modules: pg-boss and graphile-worker need 22.18 or later, and
// every contender must run on the same one. Plain JavaScript, because the Node that runs this may be an old one. Next: run.ts.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const here = import.meta.dirname;
const node = join(here, "node_modules/node/bin/node");

if (!existsSync(join(here, "node_modules/pg-boss")) || !existsSync(node)) {
  process.stderr.write(
    `Expected the contenders and a Node in ${join(here, "node_modules")}. In the folder bench/ run:\n\n` +
      "    npm ci --ignore-scripts=false\n\n" +
      "The package \"node\" fetches its binary in an install script. When npm says that it did not run it, add --dangerously-allow-all-scripts.\n",
  );
  process.exit(1);
}

// Ctrl-C reaches the whole process group: this process waits for the benchmark to have tidied up.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => undefined);
const { status, signal } = spawnSync(node, [join(here, "run.ts"), ...process.argv.slice(2)], { stdio: "inherit" });
process.exit(status ?? (signal === "SIGINT" ? 130 : 1));
