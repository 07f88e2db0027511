import { isIP } from 'node:net';
import { parseBareUrl } from '../domain/socket-url.ts';

/** An HTTP address that paths are put behind. null for anything else. */
export function parseHttpUrl(text: string): string | null {
  return parseBareUrl(text, ['http:', 'https:']);
}

/** A domain that names are put in front of, in lower case, and the port of its server if it is not the usual one. */
export function parsePreviewDomain(text: string): string | null {
  const lower = text.toLowerCase();
  const port = Number(/:(\d+)$/.exec(lower)?.[1] ?? 1);
  return /^[a-z0-9-]+(\.[a-z0-9-]+)*(:\d{1,5})?$/.test(lower) && port >= 1 && port <= 65_535 ? lower : null;
}

/** Addresses and subnets (`10.0.0.0/8`), parted by commas; none for an empty text. null when one of them is neither. */
export function parseProxies(text: string): readonly string[] | null {
  const proxies = partsOf(text);
  return proxies.every(isAddressOrSubnet) ? proxies : null;
}

function isAddressOrSubnet(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

/** Origins as browsers write them, parted by commas; none for an empty text. null when one of them is no origin. */
export function parseOrigins(text: string): readonly string[] | null {
  const origins = partsOf(text);
  return origins.every(isOrigin) ? origins : null;
}

/** Written any other way it would never equal what a browser sends. */
function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}

function partsOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
