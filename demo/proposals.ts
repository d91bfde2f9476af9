// The demo's service: what your code would look like. One transaction, one business row, four jobs.

import type { StateOf } from "postcommit";
import { assertTransition } from "postcommit";
import type { Outbox } from "../src/outbox/outbox.ts";
import { dataSync, emailSend, notificationSend, pdfGenerate } from "postcommit/jobs";
import type { PrismaClient } from "../generated/prisma/client.ts";

/** What may become of a proposal. */
export const proposalStates = { draft: ["sent", "withdrawn"], sent: ["accepted", "rejected", "withdrawn"] } as const;

export interface NewProposal {
  /** As the people in sales have left it. Default: "draft". */
  status?: StateOf<typeof proposalStates>;
  customer: string;
  email: string;
  title: string;
  amountCents: number;
}

/** Stores a proposal and promises the mail, the PDF, the notification and the copy that follow from it. */
export async function createProposal(prisma: PrismaClient, outbox: Outbox, { status = "draft", ...data }: NewProposal, beforeCommit: () => void = () => undefined): Promise<string> {
  // Before the transaction: one that was withdrawn is refused with a sentence, and nothing has begun.
  assertTransition(proposalStates, status, "sent");
  return await prisma.$transaction(async (tx) => {
    const { id, customer, email, title, amountCents, createdAt } = await tx.proposal.create({ data });
    await outbox.enqueueMany(tx, [
      emailSend.job({ to: email, subject: `Your proposal: ${title}`, body: `Dear ${customer},\n\nyour proposal "${title}" is ready.\n` }),
      pdfGenerate.job({
        template: "proposal",
        filename: `proposal-${id}.pdf`,
        data: {
          number: id.slice(-8).toUpperCase(),
          subject: title,
          date: createdAt.toISOString().slice(0, 10),
          from: { name: "Postcommit Demo Ltd.", email: "sales@example.com" },
          to: { name: customer, email },
          currency: "EUR",
          taxPercent: 20,
          items: [{ description: title, quantity: 1, unitCents: amountCents }],
          introduction: `Thank you for your interest, ${customer}. This is what we propose.`,
        },
      }),
      notificationSend.job({ userId: "sales", type: "proposal.created", message: `${customer}: ${title}` }),
      dataSync.job({ source: "proposals", target: "proposal-copies", data: { id, customer, title, amountCents, version: createdAt.getTime() } }),
    ]);
    beforeCommit();
    return id;
  });
}
