// The built command line over handlers that try every way out of the process.
import { main } from "../../../dist/main.js";

await main(process.argv.slice(2), import.meta.dirname);
