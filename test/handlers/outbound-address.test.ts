// Where requests of a job may not go, in every spelling.

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { FinalError } from "../../src/outbox/errors.ts";
import { refusalOf } from "../../src/handlers/outbound/address.ts";
import { request } from "../../src/handlers/outbound/request.ts";
import type { Resolve } from "../../src/handlers/outbound/target.ts";
import { propertySeed } from "../support/property-seed.ts";
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
  // The same addresses by digits that Unicode takes for digits, in mixed bases, with leading zeros, and as an overlong last part.
  "①②⑦.⓪.⓪.①", "𝟏𝟐𝟕.𝟎.𝟎.𝟏", "１６９。２５４｡１６９．２５４", "0x7F.0x0.0x0.0x1", "0177.0x0.0.1", "00000000177.1", "127.0x000001", "127.65535", "0xA9.254.0xA9FE", "0251.0376.0251.0376", "10.1", "0xa.0", "0300.0250.1",
  "192.88.99.1", "192.0.0.170", "255.255.255.254", "0x0", "00", "[::ffff:0:0]", "[::ffff:0.0.0.0]", "[::FFFF:169.254.169.254]", "[0000:0000:0000:0000:0000:ffff:0a00:0001]",
  // Packets to these come out at an IPv4 address, of which the numbers tell but part: NAT64, 6to4, Teredo, ISATAP of the old kind.
  "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1:a9fe:a9fe::]", "[64:ff9b::0]", "[2002:a9fe:a9fe::1]", "[2002:808:808::1]", "[2001:0:a9fe:a9fe::1]", "[2001:0000:4136:e378:8000:63bf:3fff:fdd2]", "[fe80::5efe:127.0.0.1]", "[::a9fe:a9fe]", "[::ffff:0:a9fe:a9fe]",
  // Protocol assignments, documentation, benchmarks, identifiers that are no places, and networks of nobody.
  "[2001:2::1]", "[2001:10::1]", "[2001:20::1]", "[2001:db8:ffff::1]", "[3fff:fff::1]", "[5f00::1]", "[fcff::1]", "[fdff:ffff::1]", "[fe80::a9fe:a9fe]", "[ff05::1:3]", "[1fff::1]", "[e000::1]",
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
  // As browsers read them: a backslash is a slash, tabs and line breaks are nothing, and one slash is enough.
  ["http:\\\\127.0.0.1/", /public address/],
  ["http:/127.0.0.1/", /public address/],
  ["http:127.0.0.1", /public address/],
  ["https:///127.0.0.1/", /public address/],
  ["\thttp://127.0.0.1/\n", /public address/],
  ["ht\ntp://127.0\t.0.1/", /public address/],
  ["HTTP://127.0.0.1:443/", /public address/],
  ["http://127.0.0.1\\@example.com/", /public address/],
  ["http://127.0.0.1#@example.com/", /public address/],
  ["http://127.0.0.1?@example.com/", /public address/],
  ["http://127.0.0.1/@example.com/", /public address/],
  ["http://example.com@127.0.0.1/", /without a user name and password/],
  ["http://example.com:80@127.0.0.1/", /without a user name and password/],
  ["http://@127.0.0.1/", /public address/],
  ["http://example.com%2f@127.0.0.1/", /without a user name and password/],
  ["http://127.0.0.1:99999/", /absolute URL/],
  ["http://127.0.0.1:-1/", /absolute URL/],
  ["http://127.0.0.1:80:80/", /absolute URL/],
  ["http://256.256.256.256/", /absolute URL/],
  ["http://127.0.0.0.1/", /absolute URL/],
  ["http://4294967296/", /absolute URL/],
  ["http://0x100000000/", /absolute URL/],
  ["http://127.0.0.08/", /absolute URL/],
  ["http://[::1/", /absolute URL/],
  ["http://[::ffff:127.0.0.1%lo]/", /absolute URL/],
  ["http://[::1]:0x50/", /absolute URL/],
  ["http://0000::1/", /absolute URL/],
  ["http://127.0.0.1%00.example.com/", /absolute URL/],
  ["http://exam\u0000ple.com/", /absolute URL/],
  ["ws://example.com/", /begins with "ws:"/],
  ["dict://127.0.0.1:11211/", /begins with "dict:"/],
  ["blob:http://127.0.0.1/x", /begins with "blob:"/],
  ["view-source:http://127.0.0.1/", /begins with "view-source:"/],
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
  ["0.0.0.0", 4],
  ["100.100.100.200", 4],
  ["168.63.129.16", 4],
  ["192.88.99.1", 4],
  ["::", 6],
  ["::1", 6],
  ["::8.8.8.8", 6],
  ["::8.8.8.8%eth0", 6],
  ["::ffff:169.254.169.254", 6],
  ["64:ff9b::169.254.169.254", 6],
  ["2002:a9fe:a9fe::", 6],
  ["fec0::1", 6],
  ["ff02::1", 6],
  ["0x7f.1", 4],
  ["0177.0.0.1", 4],
  ["2130706433", 4],
  ["96.0376.7.127", 4], // another place to who reads 0376 as decimal
  ["", 4],
])("a public-looking name that resolves to %s is refused", async (address, family) => {
  const { error, addresses } = await tried("https://metadata.example.com/", () => Promise.resolve([{ address, family }]));
  expect(error).toBeInstanceOf(FinalError);
  expect(String(error)).toContain(`got ${address} for "metadata.example.com"`);
  expect(addresses).toEqual([]);
});

test.each(["metadata.google.internal", "metadata.google.internal.", "METADATA", "instance-data.ec2.internal", "kubernetes.default.svc", "127.0.0.1.nip.example", "xn--n3h.example", "localtest.example."])(
  "the name %s is judged by where it leads, not by how it sounds",
  async (name) => {
    const { error, addresses } = await tried(`http://${name}/`, () => Promise.resolve([{ address: "169.254.169.254", family: 4 }]));
    expect(error).toBeInstanceOf(FinalError);
    expect(String(error)).toContain("(linkLocal)");
    expect(addresses).toEqual([]);
  },
);

test("an IPv4 address is judged alike in whatever IPv6 address it hides, and none is reached by 6to4 or Teredo", () => {
  const hex = (...bytes: number[]) => bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const byte = fc.nat({ max: 255 });
  fc.assert(
    fc.property(byte, byte, byte, byte, (a, b, c, d) => {
      const [high, low] = [hex(a, b), hex(c, d)];
      const refused = refusalOf(`${a}.${b}.${c}.${d}`) !== null;
      for (const disguise of [`::ffff:${a}.${b}.${c}.${d}`, `::ffff:${high}:${low}`, `0:0:0:0:0:FFFF:${high}:${low}`, `64:ff9b::${a}.${b}.${c}.${d}`, `64:ff9b::${high}:${low}`]) {
        expect([disguise, refusalOf(disguise) !== null]).toEqual([disguise, refused]);
      }
      for (const tunnel of [`2002:${high}:${low}::1`, `2001:0:${high}:${low}::1`, `::${high}:${low}`, `::ffff:0:${high}:${low}`, `fe80::5efe:${high}:${low}`, `64:ff9b:1:${high}:${low}::`]) {
        expect([tunnel, refusalOf(tunnel)]).not.toEqual([tunnel, null]);
      }
    }),
    { seed: propertySeed, numRuns: 500 },
  );
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
