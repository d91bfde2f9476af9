// Real HTTP servers on free ports of this machine, for the tests of handlers that send requests.

import { createServer } from "node:http";
import type { IncomingHttpHeaders, RequestListener, ServerResponse } from "node:http";
import { createServer as createTcpServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";

export interface Received {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface LocalServer {
  /** "http://127.0.0.1:12345" */
  readonly origin: string;
  readonly port: number;
  readonly received: Received[];
  /** Connections that were ever made to it. */
  connections(): number;
  /** Resolves when every connection made so far is closed. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

/** Answers each request, once its body is read, with what `answer` does. */
export function serve(answer: (received: Received, response: ServerResponse) => void): Promise<LocalServer> {
  const received: Received[] = [];
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("error", () => undefined); // the client hung up, as some tests want it to
    request.on("end", () => {
      const one = { method: request.method ?? "", url: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks).toString() };
      received.push(one);
      answer(one, response);
    });
  };
  return listen(createServer(listener), received);
}

/** Speaks bytes: for answers that no HTTP server would give. */
export function serveBytes(talk: (socket: Socket) => void): Promise<LocalServer> {
  return listen(createTcpServer((socket) => socket.once("data", () => talk(socket))), []);
}

async function listen(server: Server, received: Received[]): Promise<LocalServer> {
  const open = new Set<Socket>();
  let connections = 0;
  let idle: (() => void) | null = null;
  server.on("connection", (socket: Socket) => {
    connections += 1;
    open.add(socket);
    socket.on("error", () => undefined); // the client hung up
    socket.on("close", () => {
      open.delete(socket);
      if (open.size === 0) idle?.();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address() as AddressInfo; // it listens on TCP
  return {
    origin: `http://127.0.0.1:${address.port}`,
    port: address.port,
    received,
    connections: () => connections,
    idle: () => (open.size === 0 ? Promise.resolve() : new Promise((resolve) => (idle = resolve))),
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const servers: LocalServer[] = [];

/** Keeps a server for `stopAll`. */
export async function started(starting: Promise<LocalServer>): Promise<LocalServer> {
  const server = await starting;
  servers.push(server);
  return server;
}

/** For afterEach: closes the servers that the test has started. */
export async function stopAll(): Promise<void> {
  await Promise.all(servers.splice(0).map((server) => server.close()));
}

/** The Error that `work` is rejected with; one that says so when it is not. */
export async function thrownBy(work: Promise<unknown>): Promise<Error> {
  const error = await work.then(
    () => new Error("expected a failure, got none"),
    (cause: unknown) => cause,
  );
  if (!(error instanceof Error)) throw new Error("expected an Error to be thrown");
  return error;
}
