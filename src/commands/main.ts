// What starts the command line: cli.ts, and scripts/cli.js of a build.

export { main } from "./index.ts";
export { appDir } from "../service/place.ts";
