// All guards that are taken out, one at a time.

import { claimGuards } from "./guards/claim.ts";
import { enqueueGuards } from "./guards/enqueue.ts";
import { fenceGuards } from "./guards/fence.ts";
import { operatorGuards } from "./guards/operators.ts";
import { outsideGuards } from "./guards/outside.ts";
import { workerGuards } from "./guards/workers.ts";
import type { Mutant } from "./mutant.ts";

export const mutants: readonly Mutant[] = [...fenceGuards, ...claimGuards, ...workerGuards, ...enqueueGuards, ...operatorGuards, ...outsideGuards];
