import { createHash } from 'node:crypto';
import type { Principal, SessionGrant } from '../../allocator/api.ts';
import type { ApiKeys } from '../../auth/api-keys.ts';
import { type DataTokens, looksLikeDataToken } from '../../auth/data-token.ts';
import { type XgenCaller, type XgenTokens, xgenRoleOf } from '../../auth/xgen-tokens.ts';
import { isWarmpoolError } from '../../domain/errors.ts';
import { anybodySubject } from './rate-limit.ts';
import { XgenFailure } from './xgen-failure.ts';

export interface XgenCredentialsDeps {
  readonly keys: ApiKeys;
  readonly tokens: XgenTokens;
  /** The token of one sandbox's socket, which opens it in this dialect too. */
  readonly dataTokens: Pick<DataTokens, 'verify'>;
}

/** Who calls, by any of the schemes of this dialect. Throws XgenFailure UNAUTHORIZED; no message holds a credential. */
export class XgenCredentials {
  readonly #deps: XgenCredentialsDeps;

  constructor(deps: XgenCredentialsDeps) {
    this.#deps = deps;
  }

  /** False where the service has no keys: then nobody has a credential, and everybody may do everything. */
  get required(): boolean {
    return this.#deps.keys.required;
  }

  /** `Bearer <token or key>` or `ApiKey <key>`. */
  ofHeader(authorization: string | undefined): XgenCaller {
    if (!this.#deps.keys.required) return callerOf(this.#deps.keys.authenticate(undefined), anybodySubject);
    const { scheme, credential } = parseAuthorization(authorization);
    return scheme === 'apikey' ? this.ofKey(credential) : this.#ofToken(credential);
  }

  ofKey(key: string): XgenCaller {
    try {
      return callerOf(this.#deps.keys.authenticate(`Bearer ${key}`), subjectOf(key));
    } catch (error) {
      if (isWarmpoolError(error)) throw unauthorized('invalid API key');
      throw error;
    }
  }

  /**
   * For a socket: the header, or a token of the query when there is none. An API key does not belong in an address, where
   * logs and histories keep it (A9).
   */
  ofUpgrade(authorization: string | undefined, query: string | null): XgenCaller | SessionGrant {
    if (!this.#deps.keys.required) return this.ofHeader(undefined);
    if (authorization === undefined) {
      if (query === null || query === '') throw unauthorized('missing authorization');
      return this.#ofJwt(query);
    }
    const { scheme, credential } = parseAuthorization(authorization);
    if (scheme === 'apikey') return this.ofKey(credential);
    return looksLikeDataToken(credential) ? this.#ofJwt(credential) : this.#ofToken(credential);
  }

  #ofToken(token: string): XgenCaller {
    const caller = this.#deps.tokens.verify(token);
    if (caller === 'expired') throw unauthorized('token expired');
    if (caller !== 'invalid') return caller;
    try {
      return this.ofKey(token);
    } catch {
      throw unauthorized('invalid token');
    }
  }

  /** One of this dialect, or the data token of a sandbox. */
  #ofJwt(token: string): XgenCaller | SessionGrant {
    const caller = this.#deps.tokens.verify(token);
    if (caller === 'expired') throw unauthorized('token expired');
    if (caller !== 'invalid') return caller;
    const claims = this.#deps.dataTokens.verify(token);
    if (claims === null) throw unauthorized('invalid token');
    const { tenant, claimId, scopes } = claims;
    return { tenant, claimId, scopes };
  }
}

function parseAuthorization(header: string | undefined): {
  readonly scheme: string;
  readonly credential: string;
} {
  if (header === undefined || header === '') throw unauthorized('missing authorization');
  const [scheme = '', credential, ...rest] = header.trim().split(/ +/);
  if (credential === undefined || rest.length > 0) throw unauthorized('invalid authorization format');
  const lower = scheme.toLowerCase();
  if (lower !== 'bearer' && lower !== 'apikey') throw unauthorized('unsupported auth scheme');
  return { scheme: lower, credential };
}

function callerOf(principal: Principal, subject: string): XgenCaller {
  return { ...principal, subject, role: xgenRoleOf(principal) };
}

/** Names a key without saying anything of it. */
function subjectOf(key: string): string {
  return `key-${createHash('sha256').update(key).digest('hex').slice(0, 16)}`;
}

function unauthorized(message: string): XgenFailure {
  return new XgenFailure('UNAUTHORIZED', message);
}
