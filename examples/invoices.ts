// The app's service: an invoice, and the reminder that will follow from it, in one Prisma transaction.

import { randomUUID } from "node:crypto";
import type { Outbox } from "postcommit";
import type { PrismaClient } from "../generated/prisma/client.ts";
import { invoiceRemind } from "./handlers/invoice.remind.ts";

export async function createInvoice(prisma: PrismaClient, outbox: Outbox, { customer, locale }: { customer: string; locale: string }): Promise<string> {
  return prisma.$transaction(async (tx) => {
    const id = randomUUID();
    // With a model of your own: tx.invoice.create({ data: { id, customer } })
    await tx.$executeRaw`insert into app_invoice (id, customer) values (${id}, ${customer})`;
    await outbox.enqueue(tx, invoiceRemind, { invoiceId: id, locale }, { delay: "14d" });
    return id;
  });
}
