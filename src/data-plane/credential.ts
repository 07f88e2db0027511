import type { SessionGrant } from '../allocator/api.ts';
import type { ApiKeys } from '../auth/api-keys.ts';
import { type DataTokens, looksLikeDataToken } from '../auth/data-token.ts';
import type { Clock } from '../domain/clock.ts';
import { WarmpoolError } from '../domain/errors.ts';
import type { UpgradeRequest } from './socket-route.ts';

/** Who wants a socket, and until when what they showed is good. */
export interface Credential {
  readonly grant: SessionGrant;
  /** null: an API key, which does not expire. */
  readonly expiresInMs: number | null;
}

export interface CredentialDeps {
  readonly keys: ApiKeys;
  readonly tokens: DataTokens;
  readonly clock: Clock;
}

/** The subprotocol that carries a credential, for browsers, which cannot set a header. It is never the one chosen. */
export const tokenSubprotocolPrefix = 'warmpool.token.';

/**
 * Throws UNAUTHENTICATED. A header goes before a subprotocol, and that before the query, which takes data tokens only: an
 * API key does not belong in an address, where logs and histories keep it (A9).
 */
export function authenticate(deps: CredentialDeps, request: UpgradeRequest): Credential {
  const offered = request.subprotocols.find((each) => each.startsWith(tokenSubprotocolPrefix));
  const inQuery = request.query.get('token');
  if (request.authorization !== undefined) {
    const token = /^bearer +(\S+) *$/i.exec(request.authorization)?.[1];
    if (token !== undefined && looksLikeDataToken(token)) return ofToken(deps, token);
    return ofKey(deps, request.authorization);
  }
  if (offered !== undefined) {
    const credential = offered.slice(tokenSubprotocolPrefix.length);
    return looksLikeDataToken(credential) ? ofToken(deps, credential) : ofKey(deps, `Bearer ${credential}`);
  }
  if (inQuery !== null) return ofToken(deps, inQuery);
  return ofKey(deps, undefined);
}

function ofToken({ tokens, clock }: CredentialDeps, token: string): Credential {
  const hop = tokens.verifyHop(token);
  // It is good for opening the connection; how long that lasts is the claim's matter.
  if (hop) {
    return {
      grant: { tenant: hop.tenant, claimId: hop.claimId, scopes: hop.scopes, hop: true },
      expiresInMs: null,
    };
  }
  const claims = tokens.verify(token);
  if (!claims) {
    throw new WarmpoolError('UNAUTHENTICATED', 'the data token is not one of this service, or has expired');
  }
  const { tenant, claimId, scopes, expiresAtMs } = claims;
  return { grant: { tenant, claimId, scopes }, expiresInMs: Math.max(1, expiresAtMs - clock.wallMs()) };
}

function ofKey({ keys }: CredentialDeps, authorization: string | undefined): Credential {
  return { grant: keys.authenticate(authorization), expiresInMs: null };
}
