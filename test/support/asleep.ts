// When a worker waits for work, as a test sees it in its row.

import { inject } from "vitest";

/** SQL, of a row of outbox_worker. Behind PgBouncer nothing can be listened for: there it is enough that the worker is there. */
export const asleep = inject("pooler") === null ? "listening" : "true";
