// The built command line over the app of the soak, whose handler is in outbox.config.js beside this file.
import { main } from "../../../dist/main.js";

await main(process.argv.slice(2), import.meta.dirname);
