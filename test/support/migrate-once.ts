// A process that migrates once, says on stderr that it begins, and prints what it applied: node --import tsx migrate-once.ts URL FOLDER

import { migrate } from "../../src/service/migrate.ts";

const [url = "", folder = ""] = process.argv.slice(2);
process.stderr.write("begins\n");
const { applied } = await migrate(url, folder);
process.stdout.write(`${JSON.stringify(applied)}\n`);
