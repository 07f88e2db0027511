import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Principal } from '../allocator/api.ts';
import type { Clock } from '../domain/clock.ts';
import { scopes } from '../domain/scopes.ts';

/** What the published xgen clients call the rights of a key. */
export type XgenRole = 'admin' | 'user' | 'viewer';

/** A caller of the xgen dialect. */
export interface XgenCaller extends Principal {
  /** Tells callers apart in the rate limit and the audit log; never a key. */
  readonly subject: string;
  readonly role: XgenRole;
}

export interface XgenToken {
  readonly token: string;
  readonly expiresAtMs: number;
}

/**
 * The short-lived tokens that xgen clients change their key for: JWTs with HS256. Only the form that is issued here is
 * accepted, header included, so that no algorithm of the sender's choice is ever looked up.
 */
export class XgenTokens {
  readonly #clock: Pick<Clock, 'wallMs'>;
  readonly #secret: Uint8Array;

  /** `secret`: 32 bytes or more; every process that shall accept the tokens has the same. */
  constructor(clock: Pick<Clock, 'wallMs'>, secret: Uint8Array) {
    this.#clock = clock;
    this.#secret = secret;
  }

  issue(caller: XgenCaller): XgenToken {
    const iat = Math.floor(this.#clock.wallMs() / 1_000);
    const exp = iat + lifetimeSeconds;
    const claims = {
      sub: caller.subject,
      role: caller.role,
      tenant: caller.tenant,
      scopes: [...caller.scopes],
      aud: audience,
      iat,
      exp,
    };
    const signed = `${header}.${base64url(JSON.stringify(claims))}`;
    return { token: `${signed}.${this.#signature(signed).toString('base64url')}`, expiresAtMs: exp * 1_000 };
  }

  /** `invalid` for anything that was not issued here, whatever is wrong with it. */
  verify(token: string): XgenCaller | 'invalid' | 'expired' {
    if (token.length > tokenCharactersMax) return 'invalid';
    const [head, body = '', signature = '', ...rest] = token.split('.');
    if (head !== header || rest.length > 0) return 'invalid';
    const expected = this.#signature(`${head}.${body}`);
    const given = Buffer.from(signature, 'base64url');
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return 'invalid';
    const claims = parseClaims(body);
    if (claims === null) return 'invalid';
    return claims.exp * 1_000 <= this.#clock.wallMs() ? 'expired' : claims.caller;
  }

  #signature(signed: string): Buffer {
    return createHmac('sha256', this.#secret).update(signed).digest();
  }
}

/** By what a key may do: `admin` has everything, and who may not run commands only looks. */
export function xgenRoleOf({ scopes: held }: Pick<Principal, 'scopes'>): XgenRole {
  if (held.has('admin')) return 'admin';
  return held.has('exec') ? 'user' : 'viewer';
}

function parseClaims(body: string): { readonly caller: XgenCaller; readonly exp: number } | null {
  try {
    const claims: unknown = JSON.parse(Buffer.from(body, 'base64url').toString());
    if (typeof claims !== 'object' || claims === null) return null;
    const { sub, tenant, exp, aud, scopes: named } = claims as Record<string, unknown>;
    if (aud !== audience || typeof sub !== 'string' || typeof tenant !== 'string') return null;
    if (typeof exp !== 'number' || !Array.isArray(named)) return null;
    const held = new Set(scopes.filter((scope) => named.includes(scope)));
    return { caller: { subject: sub, tenant, scopes: held, role: xgenRoleOf({ scopes: held }) }, exp };
  } catch {
    return null;
  }
}

function base64url(text: string): string {
  return Buffer.from(text).toString('base64url');
}

const header = base64url(JSON.stringify({ alg: 'HS256', typ: 'JWT' }));
/** Another kind of token signed with the same secret is not one of these. */
const audience = 'warmpool-xgen';
const lifetimeSeconds = 900;
const tokenCharactersMax = 4_096;
