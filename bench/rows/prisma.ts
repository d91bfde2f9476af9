// What an enqueue costs inside a Prisma transaction, against Prisma's own insert into the same table.

import type { PrismaOperations } from "../contenders/prisma.ts";
import type { Row } from "../row.ts";
import { inWords, medianOf } from "./verdicts.ts";

const stepTimeoutMs = 300_000;
const sizes = [
  { size: 1, calls: 600, ours: "enqueue", theirs: "tx.outbox.create", atMost: 0.7 },
  { size: 100, calls: 200, ours: "enqueueMany of 100", theirs: "tx.outbox.createMany of 100", atMost: 0.15 },
];

export const prismaEnqueue: Row = {
  id: "prisma",
  title: "one enqueue inside a Prisma transaction against `tx.outbox.create`; 100 in one call against `createMany`",
  async measure(bench) {
    const figures = await bench.alternate(
      sizes.map((each) => ({ ...each, label: `${each.ours} and ${each.theirs}, in turn` })),
      async ({ size, calls }) => {
        const url = await bench.server.createDatabase("prisma");
        const app = await bench.startScript<PrismaOperations>("prisma", url);
        try {
          await app.ask("setup", {}, stepTimeoutMs);
          const { oursMs, theirsMs } = await app.ask("compare", { size, calls: bench.scaled(calls, 50) }, stepTimeoutMs);
          return { "ours, ms a call": oursMs, "Prisma's, ms a call": theirsMs, ratio: oursMs / theirsMs };
        } finally {
          await app.close();
          await bench.server.dropDatabase(url);
        }
      },
    );
    return {
      verdicts: sizes.map(({ ours, theirs, atMost }, nth) => ({
        what: `${ours} against ${theirs}`,
        ours: `${inWords(medianOf(figures[nth], "ours, ms a call") ?? Number.NaN)} ms`,
        against: `${inWords(medianOf(figures[nth], "Prisma's, ms a call") ?? Number.NaN)} ms`,
        value: medianOf(figures[nth], "ratio"),
        bar: { atMost, unit: "" as const },
      })),
      figures,
      notes: ["Medians of the time of a call inside one interactive transaction, both ways in turn on one connection; Prisma 7 with @prisma/adapter-pg. Both insert into the table outbox, with all its indexes and triggers."],
    };
  },
};
