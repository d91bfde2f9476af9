// The real command line over handlers that try every way out of the process.
import { main } from "../../../src/commands/index.ts";

await main(process.argv.slice(2), import.meta.dirname);
