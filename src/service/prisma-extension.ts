// The Prisma extension, for those who like enqueue on their client: tx.outbox.enqueue(…) in an interactive transaction,
// and prisma.outbox.enqueue(…) as an element of prisma.$transaction([…]). It knows Prisma by its shape alone.

import type { AnyTransaction } from "../outbox/database.ts";
import type { Contract } from "../outbox/define.ts";
import type { Enqueued, EnqueueOptions, JobRequest } from "../outbox/enqueue.ts";
import { NotInTransactionError } from "../outbox/errors.ts";
import type { Outbox } from "../outbox/outbox.ts";

/** What can be awaited inside an interactive transaction, and be an element of `prisma.$transaction([…])`. */
export type InPrismaTransaction<Value> = Promise<Value> & { readonly [Symbol.toStringTag]: "PrismaPromise" };

type Enqueue = <Input, Output>(contract: Contract<Input, Output>, payload: NoInfer<Input>, options?: EnqueueOptions) => InPrismaTransaction<Enqueued>;
type EnqueueMany = (jobs: readonly JobRequest[]) => InPrismaTransaction<Enqueued[]>;

/**
 * Given to `prisma.$extends(…)`. The methods are on the model `outbox`, and on the client itself as `$enqueue` and
 * `$enqueueMany` for an app that has no such model: Prisma adds methods to the client and to models that are there.
 */
export type PrismaExtension = (client: unknown) => {
  $extends: {
    extArgs: {
      // In these places Prisma's types expect functions that give back the methods.
      model: { outbox: { enqueue: () => Enqueue; enqueueMany: () => EnqueueMany } };
      client: { $enqueue: () => Enqueue; $enqueueMany: () => EnqueueMany };
      result: Nothing;
      query: Nothing;
    };
  };
};

// eslint-disable-next-line @typescript-eslint/no-generated-empty-object-type -- Prisma merges these; anything but {} would be merged too
type Nothing = Record<never, never>;

type Store<Value> = (tx: AnyTransaction) => Promise<Value>;

/** What `this` is in a method that was added to a model. */
interface Model {
  readonly $parent?: unknown;
}

export function prismaExtension({ enqueue, enqueueMany }: Pick<Outbox, "enqueue" | "enqueueMany">): PrismaExtension {
  const one = (client: unknown, contract: Contract, payload: unknown, options?: EnqueueOptions) => inTransactionOf(client, (tx) => enqueue(tx, contract, payload, options));
  const many = (client: unknown, jobs: readonly JobRequest[]) =>
    inTransactionOf(client, async (tx) => {
      // An element of $transaction([…]) that asks nothing would be waited for in vain.
      if (Array.isArray(jobs) && jobs.length === 0 && "query" in tx) await tx.query("select 1", []);
      return enqueueMany(tx, jobs);
    });

  // Function expressions, because Prisma tells them by `this` which client they are called on.
  const onModel = {
    enqueue(this: Model | undefined, ...args: [Contract, unknown, EnqueueOptions?]) {
      return one(this?.$parent, ...args);
    },
    enqueueMany(this: Model | undefined, jobs: readonly JobRequest[]) {
      return many(this?.$parent, jobs);
    },
  };
  const onClient = {
    $enqueue(this: unknown, ...args: [Contract, unknown, EnqueueOptions?]) {
      return one(this, ...args);
    },
    $enqueueMany(this: unknown, jobs: readonly JobRequest[]) {
      return many(this, jobs);
    },
  };
  const extend = (client: { $extends(extension: object): unknown }) => client.$extends({ name: "postcommit", model: { outbox: onModel }, client: onClient });
  // What comes back is the extended client. That it has these methods can be said in Prisma's own types only.
  return extend as unknown as PrismaExtension;
}

/** The Prisma client itself, outside any transaction. */
interface PrismaClient {
  $queryRawUnsafe(text: string, ...values: unknown[]): PrismaPromise;
}

/** A query that Prisma has not sent yet: `then` sends it by itself, `requestTransaction` as a part of a batch. */
interface PrismaPromise extends PromiseLike<unknown> {
  requestTransaction(batch: unknown): Promise<unknown>;
}

function inTransactionOf<Value>(client: unknown, store: Store<Value>): InPrismaTransaction<Value> {
  const work = isClientItself(client) ? elementOfBatch(client, store) : store(client as AnyTransaction); // enqueue looks whether it is one
  return work as InPrismaTransaction<Value>; // inside a transaction it has begun already, and nobody asks it for its tag
}

function isClientItself(client: unknown): client is PrismaClient {
  return typeof client === "object" && client !== null && "$connect" in client && client.$connect !== undefined && "$queryRawUnsafe" in client;
}

/** `$transaction([…])` asks its elements to join it; a plain `await` asks for `then`, and is outside any transaction. */
function elementOfBatch<Value>(client: PrismaClient, store: Store<Value>): PromiseLike<Value> {
  const refused = () => Promise.reject<Value>(new NotInTransactionError("the Prisma client itself, awaited outside prisma.$transaction([…])"));
  const element = {
    then: (...then: Parameters<Promise<Value>["then"]>) => refused().then(...then),
    catch: (...then: Parameters<Promise<Value>["catch"]>) => refused().catch(...then),
    finally: (...then: Parameters<Promise<Value>["finally"]>) => refused().finally(...then),
    requestTransaction(batch: unknown) {
      let joined = false;
      // An element is one statement. If a dedupe key was held, who holds it is asked after the batch has committed:
      // nothing was to be stored, so the batch has lost nothing.
      const query = async (text: string, values: unknown[]) => {
        const statement = client.$queryRawUnsafe(text, ...values);
        if (joined) return (await statement) as Record<string, unknown>[];
        joined = true;
        return (await statement.requestTransaction(batch)) as Record<string, unknown>[];
      };
      return store({ query });
    },
    [Symbol.toStringTag]: "PrismaPromise",
  };
  return element as PromiseLike<Value>; // its `then` is a promise's own
}
