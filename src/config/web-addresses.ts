/** A WebSocket address that paths are put behind: without a slash at its end. null for anything else. */
export function parseSocketUrl(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const isSocket = url.protocol === 'ws:' || url.protocol === 'wss:';
  const isBare = url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (!isSocket || !isBare || url.hostname === '') return null;
  return url.href.replace(/\/+$/, '');
}

/** Origins as browsers write them, parted by commas; none for an empty text. null when one of them is no origin. */
export function parseOrigins(text: string): readonly string[] | null {
  const origins = text
    .split(',')
    .map((origin) => origin.trim())
    .filter((origin) => origin !== '');
  return origins.every(isOrigin) ? origins : null;
}

/** Written any other way it would never equal what a browser sends. */
function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}
