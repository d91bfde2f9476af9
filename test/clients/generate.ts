// Makes the Prisma clients of the apps in prisma-6/ and prisma-7/ anew: node --import tsx test/clients/generate.ts
// They are committed, so that the tests need no command line of Prisma 6 beside that of 7; it is fetched by npx here.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../support/cli.ts";

const apps = [
  { folder: "prisma-6", command: ["npx", "--yes", "prisma@6.19.3"], client: "@prisma/client-6" },
  { folder: "prisma-7", command: [process.execPath, join(root, "node_modules/prisma/build/index.js")], client: "@prisma/client" },
];

for (const { folder, command, client } of apps) {
  const cwd = join(import.meta.dirname, folder);
  for (const schema of ["with-outbox.prisma", "without-outbox.prisma"]) {
    const [file = "", ...args] = command;
    // No engine is needed, but each is looked for: any file that exists will do.
    const env = { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: schema, PRISMA_QUERY_ENGINE_LIBRARY: schema, CHECKPOINT_DISABLE: "1" };
    execFileSync(file, [...args, "generate", "--schema", schema], { cwd, env, stdio: "inherit" });
  }
  // Beside Prisma 7, version 6 is installed under another name.
  const generated = join(cwd, "generated");
  for (const name of readdirSync(generated, { recursive: true, encoding: "utf8" }).filter((each) => each.endsWith(".ts"))) {
    const path = join(generated, name);
    const code = readFileSync(path, "utf8");
    // Prisma 6 writes down where it was run.
    writeFileSync(path, code.replaceAll('"@prisma/client/', `"${client}/`).replaceAll(`${root}/`, "/postcommit/"));
  }
}
