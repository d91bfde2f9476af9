// Where requests of a job may not go, in every spelling.

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { FinalError } from "../../src/outbox/errors.ts";
import { refusalOf } from "../../src/handlers/outbound/address.ts";
import { request } from "../../src/handlers/outbound/request.ts";
import type { Resolve } from "../../src/handlers/outbound/target.ts";
import type { LocalServer } from "./local-server.ts";
import { serve } from "./local-server.ts";

const servers: LocalServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function server(): Promise<LocalServer> {
  const one = await serve((_received, response) => response.end("hello"));
  servers.push(one);
  return one;
}

/** What a request to `url` failed with, and every address that this process tried to connect to meanwhile. */
async function tried(url: string, resolve?: Resolve): Promise<{ error: unknown; addresses: string[] }> {
  const addresses: string[] = [];
  const stop = new AbortController();
  const watch = (message: unknown) => {
    const { socket } = message as { socket: Socket }; // what Node documents for this channel
    socket.on("connectionAttempt", (address: string) => {
      addresses.push(address);
      stop.abort(new Error("it tried to connect"));
    });
  };
  subscribe("net.client.socket", watch);
  try {
    await request(resolve === undefined ? {} : { resolve }, { method: "POST", url, body: "x", timeoutMs: 2000, signal: stop.signal });
    return { error: null, addresses };
  } catch (error) {
    return { error, addresses };
  } finally {
    unsubscribe("net.client.socket", watch);
  }
}

const privateHosts = [
  "127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "0x7f.1", "0x7f000001", "0X7F.0.0.1", "2130706433", "017700000001", "0177.0.0.1", "127.0.0.1.", "%31%32%37.0.0.1",
  "１２７.０.０.１", "127。0。0。1", "0", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "012.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.257", "3232235777",
  "100.64.0.1", "100.100.100.200", "100.127.255.255", "169.254.169.254", "0xa9fea9fe", "2852039166", "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.7",
  "203.0.113.7", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
  "[0:0:0:0:0:ffff:a9fe:a9fe]", "[::ffff:0:127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2002:c0a8:101::1]", "[2001::1]", "[2001:db8::1]",
  "[fc00::1]", "[fd00:ec2::254]", "[fe80::1]", "[febf::1]", "[fec0::1]", "[ff02::1]", "[100::1]", "[4000::1]", "[3fff::1]",
];

test.each(privateHosts)("a request to http://%s/ is refused, final, before any connection is tried", async (host) => {
  const { error, addresses } = await tried(`http://${host}/`);
  expect(error).toBeInstanceOf(FinalError);
  expect(String(error)).toMatch(/Expected a target with a public address, got .+ \(.+\)\. Nothing was sent/);
  expect(addresses).toEqual([]);
});

test.each(["localhost", "LOCALHOST"])("the name %s is looked up and refused", async (host) => {
  const { error, addresses } = await tried(`http://${host}:1/`);
  expect(error).toBeInstanceOf(FinalError);
  expect(addresses).toEqual([]);
});

test.each([
  ["file:///etc/passwd", /begins with "file:"/],
  ["ftp://example.com/", /begins with "ftp:"/],
  ["gopher://example.com/", /begins with "gopher:"/],
  ["javascript:alert(1)", /begins with "javascript:"/],
  ["data:text/plain,x", /begins with "data:"/],
  ["unix:/var/run/docker.sock", /begins with "unix:"/],
  ["https://user:hunter2@example.com/", /without a user name and password/],
  ["https://:hunter2@example.com/", /without a user name and password/],
  ["https://user@127.0.0.1/", /without a user name and password/],
  ["//example.com/", /absolute URL/],
  ["example.com", /absolute URL/],
  ["http://", /absolute URL/],
  ["http://1.2.3.256/", /absolute URL/],
  ["http://[fe80::1%25eth0]/", /absolute URL/],
  ["http://exa mple.com/", /absolute URL/],
  ["", /absolute URL/],
])("the URL %s is refused, final", async (url, message) => {
  const { error, addresses } = await tried(url);
  expect(error).toBeInstanceOf(FinalError);
  expect(String(error)).toMatch(message);
  expect(String(error)).not.toContain("hunter2");
  expect(addresses).toEqual([]);
});

test.each([
  ["127.0.0.1", 4],
  ["169.254.169.254", 4],
  ["::ffff:10.0.0.1", 6],
  ["fe80::1%eth0", 6],
  ["fd00:ec2::254", 6],
  ["no address at all", 4],
])("a public-looking name that resolves to %s is refused", async (address, family) => {
  const { error, addresses } = await tried("https://metadata.example.com/", () => Promise.resolve([{ address, family }]));
  expect(error).toBeInstanceOf(FinalError);
  expect(String(error)).toContain(`got ${address} for "metadata.example.com"`);
  expect(addresses).toEqual([]);
});

test("one private address among public ones refuses the name", async () => {
  const resolve: Resolve = () => Promise.resolve([{ address: "93.184.215.14", family: 4 }, { address: "10.0.0.1", family: 4 }]);
  const { error, addresses } = await tried("https://two.example.com/", resolve);
  expect(error).toBeInstanceOf(FinalError);
  expect(addresses).toEqual([]);
});

test.each(["8.8.8.8", "93.184.215.14", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "198.17.255.255", "2606:4700:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])(
  "the public address %s may be reached",
  (address) => expect(refusalOf(address)).toBeNull(),
);

test("a name that becomes private after the check is asked for once, and only the checked address is connected to", async () => {
  const local = await server();
  const asked: string[] = [];
  const resolve: Resolve = (hostname) => {
    asked.push(hostname);
    return Promise.resolve([asked.length === 1 ? { address: "93.184.215.14", family: 4 } : { address: "127.0.0.1", family: 4 }]);
  };
  const { error, addresses } = await tried(`http://rebinding.example.com:${local.port}/`, resolve);
  expect(asked).toEqual(["rebinding.example.com"]);
  expect(addresses).toEqual(["93.184.215.14"]);
  expect(String(error)).toContain("it tried to connect");
  expect(local.connections()).toBe(0);
});

test("the connection goes to the address that was resolved, and the name stays in the Host header", async () => {
  const local = await server();
  let asked = 0;
  const resolve: Resolve = () => {
    asked += 1;
    return Promise.resolve([{ address: asked === 1 ? "127.0.0.1" : "192.0.2.1", family: 4 }]);
  };
  const answer = await request({ allowPrivate: true, resolve }, { method: "GET", url: `http://shop.example.com:${local.port}/`, timeoutMs: 2000 });
  expect(answer.body).toBe("hello");
  expect(asked).toBe(1);
  expect(local.received[0]?.headers.host).toBe(`shop.example.com:${local.port}`);
});

test("a name with no address, and one that cannot be resolved, may be tried again", async () => {
  const none = await tried("http://none.example.com/", () => Promise.resolve([]));
  const failing = await tried("http://gone.example.com/", () => Promise.reject(new Error("getaddrinfo EAI_AGAIN gone.example.com")));
  for (const { error } of [none, failing]) {
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(FinalError);
  }
  expect(String(failing.error)).toContain("EAI_AGAIN");
});
