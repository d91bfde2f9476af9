// Every connection that sealed code opens leads to the sink, where HTTP is answered and all else refused; one to the
// outbox's own database leads to a proxy that lets it read. It is caught below all clients: fetch, node:http, axios,
// undici and whatever speaks HTTP/1.1 behave as ever.

import net from "node:net";
import type { Socket } from "node:net";
import tls from "node:tls";
import type { ReadOnlyProxy } from "./read-only-proxy.ts";
import type { Sink } from "./sink.ts";

interface Options {
  readonly isSealed: () => boolean;
  readonly sink: Sink;
  readonly proxy: ReadOnlyProxy;
  readonly refuse: (target: string) => Error;
}

interface Target {
  readonly host: string;
  readonly port: number;
  /** Of a socket in the file system. */
  readonly path: string | null;
  readonly onConnect: (() => void) | null;
}

/** Gives back how to undo it. */
export function sealSockets({ isSealed, sink, proxy, refuse }: Options): () => void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with its own socket below
  const { connect } = net.Socket.prototype;
  const connectTls = tls.connect;
  /** Those that a TLS client has asked for: they are not encrypted, as they go no further than this process. */
  const secure = new WeakSet<Socket>();

  function redirect(this: Socket, ...args: unknown[]): Socket {
    if (!isSealed()) return Reflect.apply(connect, this, args) as Socket;
    const { host, port, path, onConnect } = targetOf(args);
    if (path !== null) return refused(this, refuse(path));
    if (onConnect !== null) this.once("connect", onConnect);
    const reading = proxy.portFor(host, port);
    if (reading === null) {
      const client = { socket: this, target: `${host}:${port}`, secure: secure.has(this) };
      this.once("connect", () => sink.expect(client));
    }
    return Reflect.apply(connect, this, [{ host: "127.0.0.1", port: reading ?? sink.port }]) as Socket;
  }

  function redirectTls(...args: unknown[]): Socket {
    if (!isSealed()) return Reflect.apply(connectTls, tls, args) as Socket;
    const { host, port, path, onConnect } = targetOf(args);
    const socket = asIfSecure(new net.Socket());
    const options = args.find((arg) => typeof arg === "object" && arg !== null);
    // It would be layered upon a connection that leads to the sink, or to the database.
    if (options !== undefined && "socket" in options && options.socket instanceof net.Socket) return refused(socket, refuse("a server by TLS upon another connection"));
    secure.add(socket);
    socket.once("connect", () => socket.emit("secureConnect"));
    if (onConnect !== null) socket.once("secureConnect", onConnect);
    return path === null ? socket.connect({ host, port }) : socket.connect({ path });
  }

  net.Socket.prototype.connect = redirect;
  tls.connect = redirectTls as typeof connectTls; // of all its overloads
  return () => {
    net.Socket.prototype.connect = connect;
    tls.connect = connectTls;
  };
}

function refused(socket: Socket, error: Error): Socket {
  process.nextTick(() => socket.destroy(error));
  return socket;
}

/** Of connect(options), connect(port, host), connect(path), and Node's own form of those: [options, callback] in one. */
function targetOf(args: readonly unknown[]): Target {
  const [first, second] = args;
  if (Array.isArray(first)) return targetOf(first);
  const onConnect = (args.find((arg) => typeof arg === "function") ?? null) as (() => void) | null; // connect takes no other function
  if (typeof first === "object" && first !== null) {
    const { host, port, path }: { host?: unknown; port?: unknown; path?: unknown } = first;
    return { host: typeof host === "string" ? host : "localhost", port: Number(port ?? 0), path: typeof path === "string" && port === undefined ? path : null, onConnect };
  }
  const isPort = typeof first === "number" || (typeof first === "string" && /^\d+$/.test(first));
  if (!isPort && typeof first === "string") return { host: "localhost", port: 0, path: first, onConnect };
  return { host: typeof second === "string" ? second : "localhost", port: Number(first), path: null, onConnect };
}

/** What clients ask of a TLS socket. */
function asIfSecure(socket: Socket): Socket {
  return Object.assign(socket, {
    encrypted: true,
    authorized: true,
    authorizationError: null,
    alpnProtocol: false,
    getPeerCertificate: () => ({}),
    getCipher: () => ({ name: "none", standardName: "none", version: "none" }),
    getProtocol: () => "none",
    getSession: () => undefined,
    isSessionReused: () => false,
    setServername: () => undefined,
    setSession: () => undefined,
  });
}
