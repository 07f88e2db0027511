/** A WebSocket address that paths are put behind: without a slash at its end. null for anything else. */
export function parseSocketUrl(text: string): string | null {
  return parseBareUrl(text, ['ws:', 'wss:']);
}

/** An address without credentials, query and fragment, and without a slash at its end. */
export function parseBareUrl(text: string, protocols: readonly string[]): string | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const isBare = url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (!protocols.includes(url.protocol) || !isBare || url.hostname === '') return null;
  return url.href.replace(/\/+$/, '');
}
