// Prisma's own schema engine, from its WebAssembly build, asked two things: does a schema say what the migrations make,
// and does a database's history look to Prisma as its own? For tests only: the package is not an official one.

import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { bindMigrationAwareSqlAdapterFactory } from "@prisma/driver-adapter-utils";
import * as engine from "@prisma/schema-engine-wasm/schema_engine_bg";
import { migrationAdapter } from "./prisma-migration-adapter.ts";

export interface SchemaFile {
  readonly path: string;
  readonly content: string;
}

/** The schema of a folder is all of its .prisma files, in the order of their names. */
export async function readSchema(folder: string): Promise<SchemaFile[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".prisma")).sort();
  return Promise.all(names.map(async (path) => ({ path, content: await readFile(join(folder, path), "utf8") })));
}

/** The SQL that would be missing from the migrations; null when they make what the schema says. `url` is where the engine may make a shadow database. */
export function findDrift(url: string, migrations: string, files: SchemaFile[]): Promise<string | null> {
  return withEngine(url, files, async (asked) => {
    const { exitCode, stdout } = await asked.diff({
      from: { tag: "migrations", ...(await readMigrations(migrations)) },
      to: { tag: "schemaDatamodel", files },
      script: true,
      exitCode: true,
      filters: noFilters,
    });
    return exitCode === 0 ? null : stdout;
  });
}

/** What `prisma migrate status` looks at. */
export function diagnose(url: string, migrations: string): Promise<engine.DiagnoseMigrationHistoryOutput> {
  return withEngine(url, [{ path: "schema.prisma", content: 'datasource db { provider = "postgresql" }' }], async (asked) =>
    asked.diagnoseMigrationHistory({ migrationsList: await readMigrations(migrations), optInToShadowDatabase: false, filters: noFilters }),
  );
}

const noFilters = { externalTables: [], externalEnums: [] };

async function withEngine<Value>(url: string, files: SchemaFile[], work: (asked: engine.SchemaEngine) => Promise<Value>): Promise<Value> {
  await (loaded ??= load());
  const datamodels = files.map(({ path, content }): [string, string] => [path, content]);
  const asked = await engine.SchemaEngine.new({ datamodels }, () => undefined, bindMigrationAwareSqlAdapterFactory(migrationAdapter(url)));
  try {
    return await work(asked);
  } finally {
    asked.free();
  }
}

// The types of Node 20 have WebAssembly as a namespace of types only.
const { WebAssembly: wasm } = globalThis as unknown as {
  WebAssembly: { instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: Record<string, unknown> } }> };
};

let loaded: Promise<void> | null = null;

/** By hand, because the package's own entry imports the .wasm file, which Node 20 does behind a flag only. */
async function load(): Promise<void> {
  Object.assign(globalThis, {
    PRISMA_WASM_PANIC_REGISTRY: {
      set_message: (message: string) => {
        throw new Error(`Prisma's schema engine panicked: ${message}`);
      },
    },
  });
  const folder = dirname(createRequire(import.meta.url).resolve("@prisma/schema-engine-wasm"));
  const { instance } = await wasm.instantiate(await readFile(join(folder, "schema_engine_bg.wasm")), { "./schema_engine_bg.js": { ...engine } });
  engine.__wbg_set_wasm(instance.exports);
  (instance.exports.__wbindgen_start as () => void)();
}

async function readMigrations(baseDir: string): Promise<engine.MigrationList> {
  const names = (await readdir(baseDir, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return {
    baseDir,
    lockfile: { path: "migration_lock.toml", content: await readFile(join(baseDir, "migration_lock.toml"), "utf8") },
    shadowDbInitScript: "",
    migrationDirectories: await Promise.all(
      names.sort().map(async (path) => ({
        path,
        migrationFile: { path: "migration.sql", content: { tag: "ok" as const, value: await readFile(join(baseDir, path, "migration.sql"), "utf8") } },
      })),
    ),
  };
}
