// The real command line over an app of the tests' own: its handlers are in outbox.config.ts beside this file.
import { main } from "../../../src/commands/index.ts";

await main(process.argv.slice(2), import.meta.dirname);
