// The wire between the driver and a process: JSON messages over Node's IPC channel, one answer for each question.
// The process's end; the driver's is process.ts.

export interface Question {
  readonly id: number;
  readonly operation: string;
  readonly argument: unknown;
}

export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** Answers until the driver hangs up or asks for "close". */
export function serve(operations: object, close: () => Promise<void>): void {
  process.on("disconnect", () => process.exit(0)); // the driver is gone: nothing is left running
  process.on("SIGINT", () => undefined); // Ctrl-C reaches the whole group; the driver decides when this process ends
  process.on("message", (message) => void answer(message as Question, operations, close)); // process.ts sends nothing else
  send({ id: 0, value: "ready" });
}

async function answer({ id, operation, argument }: Question, operations: object, close: () => Promise<void>): Promise<void> {
  try {
    if (operation === "close") {
      await close();
      send({ id });
      process.disconnect?.();
      return;
    }
    const carryOut = (operations as Record<string, (argument: unknown) => Promise<unknown>>)[operation]; // their types are those of operations.ts
    if (carryOut === undefined) throw new Error(`This process has no operation "${operation}".`);
    send({ id, value: await carryOut(argument) });
  } catch (error) {
    send({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}

function send(message: Answer): void {
  process.send?.(message);
}
