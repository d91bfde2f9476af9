// What an app says once about its own types, by declaration merging.

/**
 * The kind of transaction that `ctx.complete` and `ctx.checkpoint` give to handlers, when the outbox runs them in the
 * app's own (`createOutbox({ prisma })`). Once in the app:
 *
 *     declare module "postcommit" {
 *       interface Register { transaction: Prisma.TransactionClient }
 *     }
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- the app fills it
export interface Register {}
