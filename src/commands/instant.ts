// Instants as people write them on a line: ISO 8601, with a zone.

const form = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)$/;
/** Postgres has no year 0, and ISO 8601 writes no year after 9999 with four digits. */
const [first, last] = [Date.parse("0001-01-01T00:00:00Z"), Date.parse("9999-12-31T23:59:59.999Z")];

/** Without its offset it would be another instant on another machine. Null: it is none. */
export function instantIn(text: string): Date | null {
  const at = form.test(text) && hasDay(text) ? Date.parse(text) : Number.NaN;
  return at >= first && at <= last ? new Date(at) : null;
}

/** Whether the calendar has the day that `text` begins with. Date rolls 30 February over to March, without a word. */
export function hasDay(text: string): boolean {
  const [, year, month, day] = /^(\d{4})-(\d\d)-(\d\d)T/.exec(text)?.map(Number) ?? [];
  if (year === undefined || month === undefined) return false;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getUTCDate() === day && date.getUTCMonth() === month - 1;
}
