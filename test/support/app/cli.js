// The built command line over an app of the tests' own: its handlers are in outbox.config.ts beside this file.
import { main } from "../../../dist/main.js";

await main(process.argv.slice(2), import.meta.dirname);
