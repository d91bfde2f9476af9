#!/usr/bin/env -S node --import tsx
import module from "node:module";
import { join } from "node:path";

declare const builtVersion: string | undefined; // src/service/place.ts

// What V8 has compiled is kept beside the build, where Node can do so (22.8): a start costs a tenth less.
if (typeof builtVersion === "string" && "enableCompileCache" in module) (module.enableCompileCache as (folder: string) => void)(join(import.meta.dirname, "cache"));

const { main, appDir } = await import("./src/commands/main.ts");
await main(process.argv.slice(2), appDir());
