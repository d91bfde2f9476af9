// An HTTP server for as long as a command runs: of serve, and the worker's probes.

import { OutboxError } from "../outbox/errors.ts";

export type Fetch = (request: Request) => Response | Promise<Response>;

export interface At {
  readonly host: string;
  readonly port: number;
}

/** How long requests that are being answered may take after the end, unless told otherwise. */
const defaultCloseMs = 10_000;

/** Gives back where it listens, and how to end it: new requests are refused, open ones answered. */
export async function listen(fetch: Fetch, at: At, closeMs = defaultCloseMs): Promise<{ readonly url: string; close(): Promise<void> }> {
  const { serve } = await import("@hono/node-server");
  return new Promise((resolve, reject) => {
    const server = serve({ fetch, port: at.port, hostname: at.host }, ({ port }) => resolve({ url: `http://${at.host}:${port}`, close }));
    server.on("error", (cause: Error) => reject(new OutboxError("CONFIGURATION", `Cannot listen on ${at.host}:${at.port}: ${cause.message}.`, { cause })));

    async function close(): Promise<void> {
      const end = setTimeout(() => "closeAllConnections" in server && server.closeAllConnections(), closeMs).unref();
      await new Promise((closed) => server.close(closed));
      clearTimeout(end);
    }
  });
}
