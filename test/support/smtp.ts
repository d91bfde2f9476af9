// Real SMTP servers on 127.0.0.1 for the tests: one that takes mail (and refuses what it is told to), and a bare one
// that goes away or falls silent at a chosen moment, which no decent server does.

import type { AddressInfo, Socket } from "node:net";
import { createServer } from "node:net";
import { buffer } from "node:stream/consumers";
import type { Email } from "postal-mime";
import PostalMime from "postal-mime";
import type { SMTPServerOptions } from "smtp-server";
import { SMTPServer } from "smtp-server";

export interface ReceivedMail {
  readonly from: string;
  readonly to: string[];
  readonly raw: string;
  readonly parsed: Email;
}

export interface TestSmtp extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly mails: ReceivedMail[];
}

/** What the server refuses, with which reply. */
export interface Refusals {
  /** By recipient. */
  readonly recipients?: Record<string, { code: number; text: string }>;
  /** The mail itself, after it was received. */
  readonly data?: { code: number; text: string };
}

export async function startSmtp(refusals: Refusals = {}, options: SMTPServerOptions = {}): Promise<TestSmtp> {
  const mails: ReceivedMail[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disableReverseLookup: true,
    closeTimeout: 100,
    logger: false, // nothing, and no warning about the certificate that comes with it
    onRcptTo(address, _session, callback) {
      const refusal = refusals.recipients?.[address.address];
      callback(refusal === undefined ? null : replyError(refusal));
    },
    onData(stream, session, callback) {
      const { mailFrom, rcptTo } = session.envelope;
      buffer(stream)
        .then(async (bytes) => {
          if (refusals.data !== undefined) throw replyError(refusals.data);
          const raw = bytes.toString("latin1");
          mails.push({ from: mailFrom === false ? "" : mailFrom.address, to: rcptTo.map(({ address }) => address), raw, parsed: await PostalMime.parse(bytes) });
          callback(null, "OK: queued as 4711");
        })
        .catch((error: unknown) => callback(error instanceof Error ? error : new Error(String(error))));
    },
    ...options,
  });
  // Clients that leave in the middle are part of the tests.
  server.on("error", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.server.address() as AddressInfo; // it listens on TCP, so it is no path
  return {
    url: `smtp://127.0.0.1:${port}`,
    port,
    mails,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function replyError({ code, text }: { code: number; text: string }): Error {
  return Object.assign(new Error(text), { responseCode: code });
}

/** When the bare server goes away without a word; `silent`: it never says one. */
export type Fault = "silent" | "at DATA" | "after the first bytes" | "after the final dot";

export async function startFaultySmtp(fault: Fault): Promise<{ url: string; port: number; connections: () => number } & AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    if (fault !== "silent") converse(socket, fault);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP, so it is no path
  return {
    url: `smtp://127.0.0.1:${port}`,
    port,
    connections: () => sockets.size,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function converse(socket: Socket, fault: Fault): void {
  let received = "";
  let inData = false;
  socket.write("220 faulty.example\r\n");
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
    if (inData) {
      if (fault === "after the first bytes" || received.endsWith("\r\n.\r\n")) socket.destroy();
      return;
    }
    for (let end = received.indexOf("\r\n"); end >= 0; end = received.indexOf("\r\n")) {
      inData = received.startsWith("DATA");
      received = received.slice(end + 2);
      if (inData && fault === "at DATA") socket.destroy();
      else socket.write(inData ? "354 go on\r\n" : "250 fine\r\n");
    }
  });
}
