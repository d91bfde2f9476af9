// A process that uses an embedded Postgres until it is told to stop, or is killed: node --import tsx use-embedded.ts FOLDER
// It prints one line of JSON when it has the server; a line on stdin makes it close and end.

import { once } from "node:events";
import { openEmbedded } from "../../src/service/embedded.ts";

const [dataDir = ""] = process.argv.slice(2);
const server = await openEmbedded({ dataDir, settings: { fsync: "off" } });
process.stdout.write(`${JSON.stringify(server)}\n`);
await once(process.stdin, "data");
process.stdin.destroy();
await server.close();
