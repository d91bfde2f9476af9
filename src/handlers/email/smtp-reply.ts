// A server's reply as it may be stored and shown: one line, bounded. What a server says is not under our control.

const maxLength = 150;

export function replyText(reply: string | undefined): string {
  const line = (reply ?? "").replaceAll(/\p{Cc}+/gu, " ").trim();
  return line.length > maxLength ? `${line.slice(0, maxLength)}…` : line;
}
