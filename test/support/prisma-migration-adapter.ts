// What Prisma's schema engine reaches Postgres through, in tests. Not @prisma/adapter-pg, because that one cannot
// return a column of type "char", splits scripts at every semicolon, and connects to the main database when the engine
// asks for a shadow database. Next: drift.ts.

import { randomBytes } from "node:crypto";
import {
  ColumnTypeEnum as T,
  DriverAdapterError,
  type ColumnType,
  type SqlDriverAdapter,
  type SqlMigrationAwareDriverAdapterFactory,
  type SqlQueryable,
} from "@prisma/driver-adapter-utils";
import pg from "pg";

const identity = { provider: "postgres", adapterName: "postcommit-test" } as const;

export function migrationAdapter(url: string): SqlMigrationAwareDriverAdapterFactory {
  return {
    ...identity,
    connect: async () => {
      const client = await connect(url);
      return adapter(client, () => client.end());
    },
    connectToShadowDb: async () => {
      const shadowUrl = new URL(url);
      // Begins with the name of the test's own database, so that what a killed run leaves is cleared away with it.
      const name = `${shadowUrl.pathname.slice(1)}_shadow_${randomBytes(4).toString("hex")}`;
      shadowUrl.pathname = `/${name}`;
      const main = await connect(url);
      await main.query(`create database ${name} template template0`).catch(refuse);
      const client = await connect(shadowUrl.href);
      return adapter(client, async () => {
        await client.end();
        await main.query(`drop database if exists ${name} with (force)`);
        await main.end();
      });
    },
  };
}

function adapter(client: pg.Client, dispose: () => Promise<void>): SqlDriverAdapter {
  return {
    ...queryable(client),
    // Without values pg uses the simple protocol: the whole script at once, whatever its quoting.
    executeScript: async (script) => {
      await client.query(script).catch(refuse);
    },
    getConnectionInfo: () => ({ schemaName: "public", supportsRelationJoins: true }),
    startTransaction: async (isolationLevel) => {
      await client.query(`begin${isolationLevel === undefined ? "" : ` isolation level ${isolationLevel}`}`).catch(refuse);
      // The engine itself sends COMMIT and ROLLBACK as statements.
      const nothing = (): Promise<void> => Promise.resolve();
      return { ...queryable(client), options: { usePhantomQuery: false }, commit: nothing, rollback: nothing };
    },
    dispose,
  };
}

function queryable(client: pg.Client): SqlQueryable {
  return {
    ...identity,
    queryRaw: async ({ sql, args }) => {
      const result = await client.query<unknown[]>({ text: sql, values: args, rowMode: "array", types: { getTypeParser } }).catch(refuse);
      return {
        columnNames: result.fields.map((field) => field.name),
        columnTypes: result.fields.map((field) => columnTypes[field.dataTypeID] ?? T.Text),
        rows: result.rows,
      };
    },
    executeRaw: async ({ sql, args }) => (await client.query(sql, args).catch(refuse)).rowCount ?? 0,
  };
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000, query_timeout: 60_000 });
  client.on("error", () => undefined); // The next statement on it fails, and says so.
  await client.connect().catch(refuse);
  return client;
}

/** By the object ids of pg_type: what the engine's own queries return. */
const columnTypes: Readonly<Record<number, ColumnType>> = {
  ...{ 16: T.Boolean, 18: T.Character, 19: T.Text, 20: T.Int64, 21: T.Int32, 23: T.Int32, 25: T.Text, 26: T.Int64 },
  ...{ 700: T.Float, 701: T.Double, 1042: T.Text, 1043: T.Text, 1700: T.Numeric, 2950: T.Uuid, 114: T.Json, 3802: T.Json },
  ...{ 1114: T.DateTime, 1184: T.DateTime, 1000: T.BooleanArray, 1002: T.CharacterArray, 1003: T.TextArray, 1009: T.TextArray },
  ...{ 1015: T.TextArray, 1005: T.Int32Array, 1007: T.Int32Array, 1016: T.Int64Array, 1028: T.Int64Array },
};
const asText = new Set([20, 26, 1700, 114, 3802]);
const timestamps = new Set([1114, 1184]);
const nameArray = 1003;
const textArray = 1009;

function getTypeParser(oid: number): (text: string) => unknown {
  if (timestamps.has(oid)) return (text) => isoTime(text);
  if (asText.has(oid)) return (text) => text;
  // pg knows no array of names; it is written as an array of texts is. Its parsers are untyped.
  return (pg.types.getTypeParser as (oid: number, format: string) => (text: string) => unknown)(oid === nameArray ? textArray : oid, "text");
}

/** `2026-11-22 10:00:00.5+00` as the engine reads it. */
function isoTime(text: string): string {
  const offset = /[+-]\d\d(:\d\d)?$/.exec(text);
  const iso = text.replace(" ", "T") + (offset === null ? "Z" : offset[1] === undefined ? ":00" : "");
  return new Date(iso).toISOString().replace("Z", "+00:00");
}

/** The engine must recognise two errors, a missing table and a missing database; the others it prints. */
function refuse(error: unknown): never {
  if (!(error instanceof pg.DatabaseError)) throw error;
  const original = { originalCode: error.code ?? "", originalMessage: error.message };
  const name = /"(.*)"/.exec(error.message)?.[1] ?? "";
  if (error.code === "3D000") throw new DriverAdapterError({ kind: "DatabaseDoesNotExist", db: name, ...original });
  if (error.code === "42P01") throw new DriverAdapterError({ kind: "TableDoesNotExist", table: name, ...original });
  const { code = "", severity = "", message, detail, column, hint } = error;
  throw new DriverAdapterError({ kind: "postgres", code, severity, message, detail, column, hint, ...original });
}
