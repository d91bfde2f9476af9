// The list of all checks, in the order in which they are told. One file for each family of them.

import { clock } from "./clock.ts";
import type { Check } from "./doctor.ts";
import { indexes } from "./indexes.ts";
import { pooler } from "./pooler.ts";
import { publicCreate, roleSettings, timeZones } from "./roles.ts";
import { migrations, schema } from "./schema.ts";
import { connections, notificationQueue, server } from "./server.ts";
import { preparedTransactions, replicationSlots, snapshots, standbys } from "./snapshots.ts";
import { autovacuum, deadRows, tableSettings } from "./vacuum.ts";
import { nodeVersion, prismaVersions } from "./versions.ts";
import { lines, lostJobs, overdueSchedules, types, unattended } from "./work.ts";
import { silentWorkers, workerVersions } from "./workers.ts";

export const allChecks: readonly Check[] = [
  ...[server, migrations, schema, indexes],
  ...[unattended, lostJobs, silentWorkers, workerVersions, types, lines, overdueSchedules],
  ...[tableSettings, autovacuum, deadRows, snapshots, preparedTransactions, replicationSlots, standbys],
  ...[pooler, connections, notificationQueue, clock, timeZones, roleSettings, publicCreate],
  ...[nodeVersion, prismaVersions],
];
