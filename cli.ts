#!/usr/bin/env -S node --import tsx
import { main } from "./src/commands/index.ts";

await main(process.argv.slice(2), import.meta.dirname);
