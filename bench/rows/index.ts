// All rows, in the order of the table of bars (ENGINE.md), then those without a bar.

import type { Row } from "../row.ts";
import { backlog, doneRows } from "./backlog.ts";
import { drainAtBatch20, drainAtBest, drainOfPayloads, drainOfWork } from "./drain.ts";
import { emptyDrain } from "./empty-drain.ts";
import { commitsWithTriggers, enqueueThousand } from "./enqueue.ts";
import { idleWorker } from "./idle.ts";
import { idleLatency, openTransactionsLatency } from "./latency.ts";
import { orderingKeys } from "./ordering.ts";
import { prismaEnqueue } from "./prisma.ts";
import { againstPgbench } from "./pgbench.ts";
import { snapshotHeld } from "./snapshot.ts";

export const rows: readonly Row[] = [
  drainAtBatch20,
  drainAtBest,
  againstPgbench,
  snapshotHeld,
  doneRows,
  backlog,
  idleLatency,
  openTransactionsLatency,
  enqueueThousand,
  commitsWithTriggers,
  orderingKeys,
  emptyDrain,
  prismaEnqueue,
  idleWorker,
  drainOfWork,
  drainOfPayloads,
];
