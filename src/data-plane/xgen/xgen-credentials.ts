import { createHash } from 'node:crypto';
import type { Principal, SessionGrant } from '../../allocator/api.ts';
import type { ApiKeys } from '../../auth/api-keys.ts';
import { type XgenCaller, type XgenTokens, xgenRoleOf } from '../../auth/xgen-tokens.ts';
import { isWarmpoolError } from '../../domain/errors.ts';
import { XgenFailure } from './xgen-failure.ts';

/** Tells who the data token of a sandbox was given to. */
export interface DataTokenReader {
  /** Throws UNAUTHENTICATED. */
  read(token: string, sandboxId: string): SessionGrant;
}

export interface XgenCredentialsDeps {
  readonly keys: ApiKeys;
  readonly tokens: XgenTokens;
  readonly dataTokens?: DataTokenReader;
}

/** Who calls, by any of the schemes of this dialect. Throws XgenFailure UNAUTHORIZED; no message holds a credential. */
export class XgenCredentials {
  readonly #deps: XgenCredentialsDeps;

  constructor(deps: XgenCredentialsDeps) {
    this.#deps = deps;
  }

  /** `Bearer <token or key>` or `ApiKey <key>`. */
  ofHeader(authorization: string | undefined): XgenCaller {
    if (!this.#deps.keys.required) return callerOf(this.#deps.keys.authenticate(undefined), 'anybody');
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

  /** For a socket: the header, or `?token=` when there is none; the data token of the sandbox is one more kind. */
  ofUpgrade(authorization: string | undefined, query: string | null, sandboxId: string): SessionGrant {
    if (!this.#deps.keys.required) return this.ofHeader(undefined);
    if (authorization === undefined && query === null) throw unauthorized('missing authorization');
    const { scheme, credential } =
      authorization === undefined
        ? { scheme: 'bearer', credential: query ?? '' }
        : parseAuthorization(authorization);
    if (scheme === 'apikey') return this.ofKey(credential);
    try {
      return this.#ofToken(credential);
    } catch (failure) {
      const grant = this.#ofDataToken(credential, sandboxId);
      if (grant === null) throw failure;
      return grant;
    }
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

  #ofDataToken(token: string, sandboxId: string): SessionGrant | null {
    try {
      return this.#deps.dataTokens?.read(token, sandboxId) ?? null;
    } catch (error) {
      if (isWarmpoolError(error)) return null;
      throw error;
    }
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
