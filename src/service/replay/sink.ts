// Where sealed connections end: a server of this process. A request of HTTP is recorded and answered, as made up by the
// caller; whoever says anything else, or waits for a greeting, is cut off.

import { createServer as createHttpServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { createServer } from "node:net";

export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  /** By their names as they were sent, in their order. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly bodyBytes: number;
  /** Its first megabyte. */
  readonly body: string;
  answered: number;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** A connection of sealed code. */
export interface SealedClient {
  readonly socket: Socket;
  readonly target: string;
  readonly secure: boolean;
}

export interface Sink {
  readonly port: number;
  expect(client: SealedClient): void;
  close(): Promise<void>;
}

interface Options {
  readonly answer: (request: HttpRequest) => Answer;
  readonly refuse: (target: string) => Error;
}

const maxBodyBytes = 1024 * 1024;
/** A client of HTTP speaks at once; one of SMTP or a database may wait for the server to begin. */
const silentMs = 500;
const http1 = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /;

export async function openSink({ answer, refuse }: Options): Promise<Sink> {
  const clients = new Map<number, SealedClient>();
  const sockets = new Set<Socket>();
  const http = createHttpServer((request, response) => void reply(request, response, clients.get(request.socket.remotePort ?? 0), answer));
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined); // whoever was cut off may write on
    socket.on("close", () => sockets.delete(socket));
    const cutOff = () => {
      const client = clients.get(socket.remotePort ?? 0);
      client?.socket.destroy(refuse(client.target));
      socket.destroy();
    };
    const tooSilent = setTimeout(cutOff, silentMs);
    socket.once("close", () => clearTimeout(tooSilent));
    socket.once("data", (chunk) => {
      clearTimeout(tooSilent);
      if (!http1.test(chunk.toString("latin1", 0, 8))) {
        cutOff();
        return;
      }
      socket.pause();
      socket.unshift(chunk);
      http.emit("connection", socket);
      process.nextTick(() => socket.resume());
    });
  });
  // Upgrades and tunnels are no requests that anybody could answer.
  http.on("upgrade", (_, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port, // it listens on TCP
    expect(client) {
      clients.set(client.socket.localPort ?? 0, client);
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}

async function reply(request: IncomingMessage, response: ServerResponse, client: SealedClient | undefined, answer: Options["answer"]): Promise<void> {
  const chunks: Buffer[] = [];
  let bodyBytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      if (bodyBytes < maxBodyBytes) chunks.push(chunk.subarray(0, maxBodyBytes - bodyBytes));
      bodyBytes += chunk.length;
    }
  } catch {
    return; // the client has hung up before it had sent all
  }
  const { method = "", url = "", rawHeaders } = request;
  const headers = rawHeaders.flatMap((name, nth) => (nth % 2 === 0 ? [[name, rawHeaders[nth + 1] ?? ""] as const] : []));
  const origin = `${client?.secure === true ? "https" : "http"}://${request.headers.host ?? client?.target ?? "unknown"}`;
  const recorded: HttpRequest = { method, url: URL.canParse(url) ? url : `${origin}${url}`, headers, bodyBytes, body: Buffer.concat(chunks).toString("utf8"), answered: 200 };
  const { status, body } = answer(recorded);
  recorded.answered = status;
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
  response.end(method === "HEAD" ? undefined : body);
}
