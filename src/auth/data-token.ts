import { type KeyObject, sign, verify } from 'node:crypto';
import type { Clock } from '../domain/clock.ts';
import { type Scope, scopes } from '../domain/scopes.ts';
import type { DataKey } from './data-key.ts';

/** What a data token says: who may do what, in the sandbox of which claim. */
export interface DataTokenClaims {
  readonly tenant: string;
  /** A claim id is made for one claim only, so it stands for the sandbox and its incarnation as well (D8, D11). */
  readonly claimId: string;
  readonly scopes: ReadonlySet<DataScope>;
  /** Present for another process of the service (an allocator that opens a connection to a node). */
  readonly hop?: true;
  /** Unix time by the wall clock of whoever signed. */
  readonly expiresAtMs: number;
}

/** What can be done over a data socket; the other scopes are never in a token. */
export const dataScopes = ['exec', 'files', 'ports'] as const satisfies readonly Scope[];
export type DataScope = (typeof dataScopes)[number];

/** A token is lost more easily than a key: it is in URLs and browsers. Renewed in-band well before its end. */
export const dataTokenLifeMs = 900_000;

/** Opens one connection between two processes, at once; the rest is for clocks that do not agree. */
export const hopTokenLifeMs = 120_000;

/**
 * Signs and checks data tokens: compact JWS with Ed25519, and nothing else. There is no choice of algorithm to be talked
 * into: for each known key the header is one fixed text, and a token that begins with another text is refused before
 * anything in it is decoded. So `alg` is never read, and a `kid` never looks anything up but that text.
 *
 * It owns the keys and a bounded cache of tokens whose signature is known to be right: checked before, since a client that
 * connects again brings the same one, or made here, since most clients connect to where they created. To check a signature
 * costs more than all the rest of a connection.
 */
export class DataTokens {
  readonly #clock: Clock;
  readonly #signing: DataKey;
  readonly #header: string;
  /** By the whole first part of a token, dot included. */
  readonly #publicKeys: ReadonlyMap<string, KeyObject>;
  readonly #verified = new Map<string, DataTokenClaims>();

  /** Signs with the first key; tokens of all of them are good. */
  constructor(deps: { clock: Clock }, keys: readonly [DataKey, ...DataKey[]]) {
    this.#clock = deps.clock;
    this.#signing = keys[0];
    this.#header = headerOf(keys[0]);
    this.#publicKeys = new Map(keys.map((key) => [headerOf(key), key.publicKey]));
  }

  issue(claims: Omit<DataTokenClaims, 'expiresAtMs'>): {
    readonly token: string;
    readonly expiresInMs: number;
  } {
    const nowSeconds = Math.floor(this.#clock.wallMs() / 1_000);
    const lifeMs = claims.hop ? hopTokenLifeMs : dataTokenLifeMs;
    const payload = {
      aud: claims.hop ? hopAudience : audience,
      sub: claims.tenant,
      cid: claims.claimId,
      scp: [...claims.scopes],
      iat: nowSeconds,
      exp: nowSeconds + lifeMs / 1_000,
    };
    const signed = `${this.#header}${Buffer.from(JSON.stringify(payload)).toString('base64url')}`;
    const signature = sign(null, Buffer.from(signed), this.#signing.privateKey).toString('base64url');
    const token = `${signed}.${signature}`;
    this.#remember(token, { ...claims, scopes: new Set(claims.scopes), expiresAtMs: payload.exp * 1_000 });
    return { token, expiresInMs: lifeMs };
  }

  /** null for whatever is not a client's token of ours that is good now; why not is nobody's business. */
  verify(token: string): DataTokenClaims | null {
    const claims = this.#good(token);
    return claims?.hop ? null : claims;
  }

  /** The same for the token of another process of the service. */
  verifyHop(token: string): DataTokenClaims | null {
    const claims = this.#good(token);
    return claims?.hop ? claims : null;
  }

  #good(token: string): DataTokenClaims | null {
    const known = this.#verified.get(token);
    const claims = known ?? this.#checked(token);
    if (!claims || claims.expiresAtMs <= this.#clock.wallMs()) {
      this.#verified.delete(token);
      return null;
    }
    if (!known) this.#remember(token, claims);
    return claims;
  }

  #checked(token: string): DataTokenClaims | null {
    if (token.length > tokenCharactersMax) return null;
    const match = /^([\w-]+\.)([\w-]+)\.([\w-]{86})$/.exec(token);
    if (!match) return null;
    const [, header = '', payload = '', signature = ''] = match;
    const publicKey = this.#publicKeys.get(header);
    if (!publicKey) return null;
    const signatureBytes = Buffer.from(signature, 'base64url');
    // One signature has one text: the last character has bits that decoding ignores.
    if (signatureBytes.toString('base64url') !== signature) return null;
    if (!verify(null, Buffer.from(`${header}${payload}`), publicKey, signatureBytes)) return null;
    return parseClaims(Buffer.from(payload, 'base64url').toString());
  }

  #remember(token: string, claims: DataTokenClaims): void {
    // Maps keep the order of insertion: the first is the oldest, and expires first.
    const oldest = this.#verified.size >= verifiedMax ? this.#verified.keys().next().value : undefined;
    if (oldest !== undefined) this.#verified.delete(oldest);
    this.#verified.set(token, claims);
  }
}

/** Tells a token from an API key (`wp_…`), so that each is judged as what it is. */
export function looksLikeDataToken(credential: string): boolean {
  return credential.includes('.');
}

function headerOf(key: DataKey): string {
  return `${Buffer.from(JSON.stringify({ alg: 'EdDSA', typ: 'JWT', kid: key.kid })).toString('base64url')}.`;
}

/** Of a payload that one of our keys has signed: what is wrong with it is a mistake of ours or another use of the key. */
function parseClaims(text: string): DataTokenClaims | null {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof read !== 'object' || read === null) return null;
  const { aud, sub, cid, scp, iat, exp } = read as Readonly<Record<string, unknown>>;
  const lifeMs = aud === hopAudience ? hopTokenLifeMs : dataTokenLifeMs;
  if ((aud !== audience && aud !== hopAudience) || typeof sub !== 'string' || typeof cid !== 'string')
    return null;
  if (!Array.isArray(scp) || !scp.every((scope) => scopes.includes(scope))) return null;
  if (!isSeconds(iat) || !isSeconds(exp) || exp <= iat || exp - iat > lifeMs / 1_000) return null;
  return {
    tenant: sub,
    claimId: cid,
    scopes: new Set(dataScopes.filter((scope) => scp.includes(scope))),
    ...(aud === hopAudience && { hop: true }),
    expiresAtMs: exp * 1_000,
  };
}

function isSeconds(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}

const audience = 'warmpool-data';
const hopAudience = 'warmpool-hop';
/** Ours are some 400, with the longest tenant. */
const tokenCharactersMax = 2_048;
const verifiedMax = 4_096;
