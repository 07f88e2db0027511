import type { UpgradeRequest } from './socket-route.ts';

/** The form of an upgrade request, read alike for every adapter. */

export interface RawUpgrade {
  /** Path and query as sent. */
  readonly url: string;
  readonly header: (lowerCaseName: string) => string | undefined;
  readonly remoteAddress: string;
}

/** RFC 6455, 4.2.1: what makes a request an opening handshake of the one version there is. */
export function isUpgrade(request: {
  readonly method: string;
  readonly header: (lowerCaseName: string) => string | undefined;
}): boolean {
  const { method, header } = request;
  return (
    method.toUpperCase() === 'GET' &&
    header('upgrade')?.toLowerCase() === 'websocket' &&
    keyPattern.test(header('sec-websocket-key') ?? '') &&
    header('sec-websocket-version') === '13'
  );
}

export function parseUpgrade(request: RawUpgrade): UpgradeRequest {
  const { url, header, remoteAddress } = request;
  const queryAt = url.indexOf('?');
  return {
    path: queryAt === -1 ? url : url.slice(0, queryAt),
    query: new URLSearchParams(queryAt === -1 ? '' : url.slice(queryAt + 1)),
    authorization: header('authorization') || undefined,
    origin: header('origin') || undefined,
    subprotocols: parseSubprotocols(header('sec-websocket-protocol') ?? ''),
    remoteAddress,
  };
}

/** Those that are tokens of HTTP, in order; more than anybody needs are left out. */
function parseSubprotocols(text: string): readonly string[] {
  return text
    .split(',', subprotocolsMax)
    .map((offered) => offered.trim())
    .filter((offered) => tokenPattern.test(offered));
}

/** 16 bytes in base64. */
const keyPattern = /^[+/0-9A-Za-z]{22}==$/;
const tokenPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const subprotocolsMax = 16;
