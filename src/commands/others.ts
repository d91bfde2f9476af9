// All commands but jobs:drain, one line for each. Loaded when another one is called, or the help.

import type { Command } from "commander";
import { completion } from "./completion.ts";
import { configShow } from "./config-show.ts";
import type { CommandContext } from "./context.ts";
import { embeddedCommands } from "./db-embedded.ts";
import { dbOutboxCommand } from "./db-outbox-command.ts";
import { doctor } from "./doctor.ts";
import { errors } from "./errors.ts";
import { healthApi } from "./health-api.ts";
import { healthDb } from "./health-db.ts";
import { init } from "./init.ts";
import { jobsCancel } from "./jobs-cancel.ts";
import { jobsEnqueue } from "./jobs-enqueue.ts";
import { jobsGet } from "./jobs-get.ts";
import { jobsList } from "./jobs-list.ts";
import { jobsPrune } from "./jobs-prune.ts";
import { jobsReplay } from "./jobs-replay.ts";
import { jobsResolve } from "./jobs-resolve.ts";
import { jobsRetry } from "./jobs-retry.ts";
import { jobsWhy } from "./jobs-why.ts";
import { jobsWorker } from "./jobs-worker.ts";
import { migrateCommands } from "./migrate.ts";
import { scheduleCommands } from "./schedules.ts";
import { serve } from "./serve.ts";
import { stats } from "./stats.ts";
import { typeCommands } from "./types.ts";
import { workers } from "./workers.ts";

export function addOthers(program: Command, context: CommandContext): void {
  jobsWorker(program, context);
  jobsList(program, context);
  jobsGet(program, context);
  jobsWhy(program, context);
  jobsEnqueue(program, context);
  jobsRetry(program, context);
  jobsCancel(program, context);
  jobsResolve(program, context);
  jobsReplay(program, context);
  jobsPrune(program, context);
  scheduleCommands(program, context);
  typeCommands(program, context);
  errors(program, context);
  dbOutboxCommand(program, context);
  embeddedCommands(program, context);
  migrateCommands(program, context);
  workers(program, context);
  stats(program, context);
  doctor(program, context);
  healthDb(program, context);
  healthApi(program, context);
  serve(program, context);
  configShow(program, context);
  completion(program, context);
  init(program, context);
}

