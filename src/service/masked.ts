// Values of settings as anyone may see them: in config:show, in a screenshot of it, in a ticket.

/** What a password or key is shown as. */
export const hidden = "***";

/** Parameters of a database's URL that say how it is spoken to, not who may. */
const harmless = ["host", "port", "pgbouncer", "schema", "sslmode"];

/** Where a URL leads, without who goes there: of some mail servers even the user's name is the key. */
export function maskedUrl(text: string): string {
  // Without the slashes it is no URL that leads anywhere: of "ada:secret" the first word would be taken for a scheme.
  if (!URL.canParse(text) || !/^[a-z][a-z\d+.-]*:\/\//i.test(text)) return hidden;
  const url = new URL(text);
  const parameters = [...url.searchParams].filter(([name]) => harmless.includes(name)).map(([name, value]) => `${name}=${value}`);
  const user = url.username === "" && url.password === "" ? "" : `${hidden}@`;
  // Of a password with a "/", "?" or "#" in it that nobody has encoded, the rest would stand behind the server's name.
  if (/@/.test(url.pathname + url.search + url.hash)) return hidden;
  return `${url.protocol}//${user}${url.host}${url.pathname.replace(/\/$/, "")}${parameters.length === 0 ? "" : `?${parameters.join("&")}`}`;
}

/** Of a URL that is a secret as a whole (a heartbeat's, a chat's webhook): the server. */
export function maskedPath(text: string): string {
  return URL.canParse(text) ? `${new URL(text).origin}/${hidden}` : hidden;
}

export function maskedSecret(): string {
  return hidden;
}

/** Of entries that have a name: the names, because the entries hold keys. */
export function names(entries: Readonly<Record<string, unknown>>): string {
  return Object.keys(entries).join(", ");
}
