// A mail that the server took for some of its recipients and asked to bring again for others ("452 too many recipients",
// greylisting): what earlier attempts came to, so that nobody gets it twice and nobody is forgotten.

import { z } from "zod";
import { parseMailbox } from "./address.ts";
import type { Receipt } from "./smtp.ts";

const schema = z.object({ accepted: z.array(z.string()), rejected: z.array(z.string()), rejections: z.array(z.string()) });

/** As the job's checkpoint holds it. */
export type Progress = Pick<Receipt, "accepted" | "rejected" | "rejections">;

/** What the checkpoint says; nothing was achieved yet when there is none. */
export function progressOf(checkpoint: unknown): Progress {
  return schema.safeParse(checkpoint).data ?? { accepted: [], rejected: [], rejections: [] };
}

export function withProgress(receipt: Receipt, earlier: Progress): Receipt {
  return {
    ...receipt,
    accepted: [...earlier.accepted, ...receipt.accepted],
    rejected: [...earlier.rejected, ...receipt.rejected],
    rejections: [...earlier.rejections, ...receipt.rejections],
  };
}

/** Recipients that are not to be tried again, spelled as a message spells them. */
export function settledBy({ accepted, rejected }: Progress): ReadonlySet<string> {
  return new Set(
    [...accepted, ...rejected].map((recipient) => {
      const mailbox = parseMailbox(recipient); // a server is told some domains decoded
      return "problem" in mailbox ? recipient : mailbox.address;
    }),
  );
}
