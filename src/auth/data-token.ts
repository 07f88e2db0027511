import { type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import type { Clock } from '../domain/clock.ts';
import { WarmpoolError } from '../domain/errors.ts';
import { type Scope, scopes } from '../domain/scopes.ts';
import { canSign, type DataKey, type VerifyingKey } from './data-key.ts';
import { growTree, hashCharacters, rootOver } from './hash-tree.ts';
import { RecentMap } from './recent-map.ts';

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
 * Tokens that are prepared in the same turn of the event loop share a signature, which costs more than all the rest of a
 * token: it is of the root of a hash tree, and behind it each token has a leaf (a secret salt, and whose it is) and the path
 * from there to the root. So each says what one that is signed alone says, and nothing of another, and the public key is all
 * that it takes to check it.
 *
 * It owns the keys, the tokens that wait to be signed, and a bounded cache of tokens whose signature is known to be right:
 * checked before, since a client that connects again brings the same one, or made here, since most clients connect to where
 * they created. To check a signature costs more than all the rest of a connection.
 */
export class DataTokens {
  readonly #clock: Clock;
  /** null: this process has only what tokens are checked by. */
  readonly #signing: DataKey | null;
  readonly #header: string;
  /** By the whole first part of a token, dot included. */
  readonly #publicKeys: ReadonlyMap<string, KeyObject>;
  readonly #verified = new RecentMap<DataTokenClaims>(verifiedMax);
  #unsigned: UnsignedToken[] = [];

  /** Signs with the first key, if it can; tokens of all of them are good. */
  constructor(deps: { clock: Clock }, keys: readonly [DataKey | VerifyingKey, ...VerifyingKey[]]) {
    this.#clock = deps.clock;
    this.#signing = canSign(keys[0]) ? keys[0] : null;
    this.#header = headerOf(keys[0]);
    this.#publicKeys = new Map(keys.map((key) => [headerOf(key), key.publicKey]));
  }

  /** Throws UNSUPPORTED where there is no private key. */
  issue(claims: Omit<DataTokenClaims, 'expiresAtMs'>): {
    readonly token: string;
    readonly expiresInMs: number;
  } {
    const lifeMs = claims.hop ? hopTokenLifeMs : dataTokenLifeMs;
    const term = this.#term(lifeMs);
    const token = this.#signed({ aud: claims.hop ? hopAudience : audience, ...subjectOf(claims), ...term });
    this.#verified.set(token, { ...claims, expiresAtMs: term.exp * 1_000 });
    return { token, expiresInMs: lifeMs };
  }

  /** A client's token; it is signed when it is asked for, or with all others at the end of this turn of the event loop. */
  prepare(claims: Omit<DataTokenClaims, 'expiresAtMs' | 'hop'>): () => string {
    this.#signingKey();
    const unsigned: UnsignedToken = { claims, token: '' };
    this.#unsigned.push(unsigned);
    if (this.#unsigned.length === 1) setImmediate(this.#signPrepared);
    if (this.#unsigned.length === signedTogetherMax) this.#signPrepared();
    return () => {
      if (unsigned.token === '') this.#signPrepared();
      return unsigned.token;
    };
  }

  readonly #signPrepared = (): void => {
    const unsigned = this.#unsigned;
    this.#unsigned = [];
    const [only] = unsigned;
    if (only === undefined) return;
    if (unsigned.length === 1) {
      only.token = this.issue(only.claims).token;
      return;
    }
    const salts = randomBytes(unsigned.length * saltBytes).toString('base64url');
    const leaves = unsigned.map(
      ({ claims }, index) =>
        salts.slice(index * saltCharacters, (index + 1) * saltCharacters) + encoded(subjectOf(claims)),
    );
    const { root, paths } = growTree(leaves);
    const term = this.#term(dataTokenLifeMs);
    const shared = this.#signed({ aud: audience, root, ...term });
    for (const [index, prepared] of unsigned.entries()) {
      prepared.token = `${shared}.${leaves[index]}.${paths[index]}`;
      this.#verified.set(prepared.token, { ...prepared.claims, expiresAtMs: term.exp * 1_000 });
    }
  };

  #term(lifeMs: number): { readonly iat: number; readonly exp: number } {
    const nowSeconds = Math.floor(this.#clock.wallMs() / 1_000);
    return { iat: nowSeconds, exp: nowSeconds + lifeMs / 1_000 };
  }

  #signed(payload: object): string {
    const { privateKey } = this.#signingKey();
    const text = `${this.#header}${encoded(payload)}`;
    return `${text}.${sign(null, Buffer.from(text), privateKey).toString('base64url')}`;
  }

  #signingKey(): DataKey {
    if (this.#signing !== null) return this.#signing;
    throw new WarmpoolError('UNSUPPORTED', 'this process checks tokens and signs none: ask an allocator');
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
    if (!claims || claims.expiresAtMs <= this.#clock.wallMs()) return null;
    if (!known) this.#verified.set(token, claims);
    return claims;
  }

  #checked(token: string): DataTokenClaims | null {
    if (token.length > tokenCharactersMax) return null;
    const match = tokenPattern.exec(token);
    if (!match) return null;
    const [, header = '', payload = '', signature = '', leaf, path = ''] = match;
    const publicKey = this.#publicKeys.get(header);
    if (!publicKey) return null;
    const signatureBytes = Buffer.from(signature, 'base64url');
    // One signature has one text: the last character has bits that decoding ignores.
    if (signatureBytes.toString('base64url') !== signature) return null;
    if (!verify(null, Buffer.from(`${header}${payload}`), publicKey, signatureBytes)) return null;
    const signed = decoded(payload);
    if (leaf === undefined) return parseClaims(signed, signed);
    return signed?.root === rootOver(leaf, path)
      ? parseClaims(signed, decoded(leaf.slice(saltCharacters)))
      : null;
  }
}

/** Tells a token from an API key (`wp_…`), so that each is judged as what it is. */
export function looksLikeDataToken(credential: string): boolean {
  return credential.includes('.');
}

function headerOf(key: VerifyingKey): string {
  return `${Buffer.from(JSON.stringify({ alg: 'EdDSA', typ: 'JWT', kid: key.kid })).toString('base64url')}.`;
}

interface UnsignedToken {
  readonly claims: Omit<DataTokenClaims, 'expiresAtMs' | 'hop'>;
  /** Empty until it is signed. */
  token: string;
}

function subjectOf({ tenant, claimId, scopes }: Omit<DataTokenClaims, 'expiresAtMs'>): object {
  return { sub: tenant, cid: claimId, scp: [...scopes] };
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

type Decoded = Readonly<Record<string, unknown>> | null;

function decoded(text: string): Decoded {
  try {
    const read: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    return typeof read === 'object' && read !== null ? (read as Decoded) : null;
  } catch {
    return null;
  }
}

/** Of what one of our keys has signed: what is wrong with it is a mistake of ours or another use of the key. */
function parseClaims(term: Decoded, subject: Decoded): DataTokenClaims | null {
  if (term === null || subject === null) return null;
  const { aud, iat, exp } = term;
  const { sub, cid, scp } = subject;
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
/** Header, payload and signature of a JWT; behind them, of one that was signed together with others, leaf and path. */
const tokenPattern = new RegExp(
  `^([\\w-]+\\.)([\\w-]+)\\.([\\w-]{86})(?:\\.([\\w-]+)\\.((?:[\\w-]{${hashCharacters}})+))?$`,
);
/** Ours are some 400, with the longest tenant, and up to 250 more where the signature is shared. */
const tokenCharactersMax = 2_048;
/** One signature for sixteen is a few percent of their cost; for more, every token would only become longer. */
const signedTogetherMax = 16;
/** A multiple of three, so that each salt is characters of its own. */
const saltBytes = 18;
const saltCharacters = 24;
const verifiedMax = 4_096;
