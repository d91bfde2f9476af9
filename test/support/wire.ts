// Where a message of the Postgres wire protocol (3.0, without TLS) begins and ends, and what it is called.
// https://www.postgresql.org/docs/current/protocol-message-formats.html

export type Sender = "program" | "postgres";

export interface Message {
  /** As the documentation of Postgres calls it. */
  readonly name: string;
  /** Parse, Query: the statement. */
  readonly statement: string | null;
  /** Parse, Bind: what the program calls the statement, perhaps nothing. */
  readonly statementName: string | null;
  readonly bytes: Buffer;
}

const names: Record<Sender, Record<string, string>> = {
  program: { B: "Bind", C: "Close", D: "Describe", E: "Execute", F: "FunctionCall", H: "Flush", P: "Parse", Q: "Query", S: "Sync", X: "Terminate", c: "CopyDone", d: "CopyData", f: "CopyFail", p: "Password" },
  postgres: {
    "1": "ParseComplete", "2": "BindComplete", "3": "CloseComplete", A: "NotificationResponse", C: "CommandComplete", D: "DataRow", E: "ErrorResponse", G: "CopyInResponse", H: "CopyOutResponse",
    I: "EmptyQueryResponse", K: "BackendKeyData", N: "NoticeResponse", R: "Authentication", S: "ParameterStatus", T: "RowDescription", Z: "ReadyForQuery", c: "CopyDone", d: "CopyData", n: "NoData", s: "PortalSuspended", t: "ParameterDescription", v: "NegotiateProtocolVersion",
  },
};

/** Takes the bytes of one direction of one connection as they come, and gives back the messages that are whole by then. */
export function messagesOf(sender: Sender): (bytes: Buffer) => Message[] {
  let rest: Buffer = Buffer.alloc(0);
  // The first message of the program is a length and no type.
  let started = sender === "postgres";
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    const messages: Message[] = [];
    for (;;) {
      const typeBytes = started ? 1 : 0;
      if (rest.length < typeBytes + 4) return messages;
      const length = typeBytes + rest.readUInt32BE(typeBytes);
      if (rest.length < length) return messages;
      const message = rest.subarray(0, length);
      messages.push(started ? named(sender, message) : { name: "Startup", statement: null, statementName: null, bytes: message });
      rest = rest.subarray(length);
      started = true;
    }
  };
}

function named(sender: Sender, bytes: Buffer): Message {
  const type = String.fromCharCode(bytes[0] ?? 0);
  const name = names[sender][type] ?? `message "${type}"`;
  const unknown: Message = { name, statement: null, statementName: null, bytes };
  if (sender === "postgres") return unknown;
  const text = (from: number) => bytes.toString("utf8", from, bytes.indexOf(0, from));
  const after = (from: number) => bytes.indexOf(0, from) + 1;
  switch (name) {
    case "Query":
      return { ...unknown, statement: text(5) };
    case "Parse":
      return { ...unknown, statementName: text(5), statement: text(after(5)) };
    case "Bind": // the portal comes first
      return { ...unknown, statementName: text(after(5)) };
    default:
      return unknown;
  }
}
