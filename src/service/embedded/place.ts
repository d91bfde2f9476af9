// Where the embedded Postgres keeps its files: one folder with the cluster, its password, settings and log.
// Next: cluster.ts.

import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { OutboxError } from "../../outbox/errors.ts";
import { canReach, mayEnter, refuseForeign, serverUser, sharedFolder, type SystemUser } from "./user.ts";

export interface Place {
  /** The folder that everything is in. The server's user may pass it, but not write to it. */
  readonly home: string;
  /** PGDATA, which belongs to the server's user. Appears complete, or not at all. */
  readonly data: string;
  /** The superuser's password; readable by the owner of `home` only. */
  readonly password: string;
  /** What the server is told beyond postgresql.conf; written anew at each start. */
  readonly settings: string;
  readonly log: string;
  /** Present while the server is to go on without users. */
  readonly keepRunning: string;
  /** Held while somebody opens, closes, starts or stops. */
  readonly lock: string;
  /** Whom the server runs as; null for the user of this process. */
  readonly user: SystemUser | null;
}

/** Finds the place for `dataDir` without touching anything. */
export async function findPlace(dataDir: string): Promise<Place> {
  const wanted = resolve(dataDir);
  const user = await serverUser(join(wanted, "data"));
  if (user === null || (await canReach(wanted, user, mayEnter))) return placeAt(wanted, user);
  // Root's own folders are usually closed to others, so a clone below /root has its data elsewhere.
  const home = sharedFolder(createHash("sha256").update(wanted).digest("hex").slice(0, 12));
  return placeAt(home, await serverUser(join(home, "data")));
}

/** Finds the place for `dataDir` and makes its folder. */
export async function makePlace(dataDir: string): Promise<Place> {
  const first = await findPlace(dataDir);
  await makeHome(first);
  // A narrow umask can have closed the folders above, and then the place is another one.
  const place = await findPlace(dataDir);
  if (place.home !== first.home) await makeHome(place);
  return place;
}

async function makeHome({ home, user }: Place): Promise<void> {
  try {
    await mkdir(dirname(home), { recursive: true });
    await mkdir(home, { recursive: true, mode: user === null ? 0o700 : 0o711 });
    if (home.startsWith(sharedFolder(""))) await refuseForeign(home);
    // Root's umask may be narrow, but the server's user must pass.
    if (user !== null && (await stat(home)).uid === 0) await chmod(home, 0o711);
  } catch (cause) {
    if (cause instanceof OutboxError) throw cause;
    throw new OutboxError("CONFIGURATION", `The folder ${home} for the embedded Postgres cannot be made: ${String(cause)}. Make it writable, or set DATABASE_URL.`, { cause });
  }
}

function placeAt(home: string, user: SystemUser | null): Place {
  return {
    home,
    data: join(home, "data"),
    password: join(home, "password"),
    settings: join(home, "server.conf"),
    log: join(home, "server.log"),
    keepRunning: join(home, "keep-running"),
    lock: join(home, "lock"),
    user,
  };
}

export async function readPassword(place: Place): Promise<string | null> {
  try {
    return (await readFile(place.password, "utf8")).trim();
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return null;
    throw new OutboxError("CONFIGURATION", `The password of the embedded Postgres in ${place.password} cannot be read: ${String(cause)}. Run as the user who made it, or set DATABASE_URL.`, { cause });
  }
}

/** Hexadecimal, so that it needs no quoting in a URL. Written whole, before the cluster that it opens exists. */
export async function makePassword(place: Place): Promise<string> {
  const password = randomBytes(24).toString("hex");
  await writeFile(`${place.password}.new`, `${password}\n`, { mode: 0o600 });
  await rename(`${place.password}.new`, place.password);
  return password;
}
