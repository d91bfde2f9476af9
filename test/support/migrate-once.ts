// A process that migrates and says what it applied: node --import tsx migrate-once.ts URL FOLDER
// It waits for a line on stdin first, so that several of them begin at the same moment.

import { once } from "node:events";
import { migrate } from "../../src/service/migrate.ts";

const [url = "", folder = ""] = process.argv.slice(2);
process.stdout.write("ready\n");
await once(process.stdin, "data");
process.stdin.destroy();
const { applied } = await migrate(url, folder);
process.stdout.write(`${JSON.stringify(applied)}\n`);
