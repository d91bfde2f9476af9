import { PrismaPg } from "@prisma/adapter-pg-6";
import { PrismaClient as WithOutbox } from "./prisma-6/generated/with-outbox/client.ts";
import { PrismaClient as WithoutOutbox } from "./prisma-6/generated/without-outbox/client.ts";
import type { Apps } from "./prisma-promises.ts";
import { describePrisma } from "./prisma-promises.ts";

describePrisma("6.19", (url) => {
  const adapter = new PrismaPg({ connectionString: url });
  const apps = { withOutbox: new WithOutbox({ adapter }), withoutOutbox: new WithoutOutbox({ adapter }) };
  // The promises are written in the types of Prisma 7, which has all the methods that 6.19 has. That the types of 6.19
  // take the outbox too is shown in test/types.
  return apps as unknown as Apps;
});
