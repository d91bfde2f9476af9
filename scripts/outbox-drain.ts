// What the crontab may call without npm: tsx scripts/outbox-drain.ts
import { dirname } from "node:path";
import { main } from "../src/commands/index.ts";

await main(["jobs:drain", ...process.argv.slice(2)], dirname(import.meta.dirname));
