// A process that migrates once and prints what it applied: node --import tsx migrate-once.ts URL FOLDER

import { migrate } from "../../src/service/migrate.ts";

const [url = "", folder = ""] = process.argv.slice(2);
const { applied } = await migrate(url, folder);
process.stdout.write(`${JSON.stringify(applied)}\n`);
