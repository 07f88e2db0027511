import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Principal } from '../allocator/api.ts';
import { WarmpoolError } from '../domain/errors.ts';
import { type Scope, scopes } from '../domain/scopes.ts';

/**
 * Who calls, from `authorization: Bearer wp_…`. Owns the hashes of the known keys, never a key: a call's key is hashed,
 * looked up by its hash, compared in constant time, and forgotten. SHA-256 without salt is enough because a key is 160
 * random bits; a slow password hash would put milliseconds on every call and make it no harder to guess.
 *
 * With no keys configured everybody is the tenant `default` with every scope; the configuration then lets the service
 * listen on loopback only.
 */
export class ApiKeys {
  readonly #byHash: ReadonlyMap<string, KnownKey>;

  constructor(entries: readonly KeyEntry[]) {
    this.#byHash = new Map(entries.map((entry) => [entry.sha256.toLowerCase(), knownKey(entry)]));
  }

  /** False: anybody who reaches the service may use it. */
  get required(): boolean {
    return this.#byHash.size > 0;
  }

  /** Throws UNAUTHENTICATED. The header's value is in no message: it may be a key with a slip of the finger. */
  authenticate(authorization: string | undefined): Principal {
    if (this.#byHash.size === 0) return anybody;
    if (authorization === undefined) throw unauthenticated('the call carries no API key');
    const key = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
    if (key === undefined || key.length > keyCharactersMax) {
      throw unauthenticated('the authorization metadata is not of the form "Bearer wp_…"');
    }
    const digest = createHash('sha256').update(key).digest();
    const known = this.#byHash.get(digest.toString('hex'));
    if (known === undefined || !timingSafeEqual(known.digest, digest)) {
      throw unauthenticated('the API key is not one that this service knows');
    }
    return known.principal;
  }
}

/** A key as it is configured: known only by its SHA-256, in hex. */
export interface KeyEntry {
  readonly tenant: string;
  readonly sha256: string;
  readonly scopes: readonly string[];
}

/** A new key for its owner, and what the service is configured with in its place. */
export interface NewApiKey {
  /** Shown once, stored nowhere. */
  readonly key: string;
  /** `tenant:sha256hex[:scope+scope]`, for WARMPOOL_API_KEYS. */
  readonly entry: string;
}

/** `wp_` and 160 random bits in base 32. No scopes named: the service's default for keys that name none. */
export function newApiKey(tenant: string, keyScopes: readonly Scope[] = []): NewApiKey {
  const key = `wp_${base32(randomBytes(20))}`;
  const sha256 = createHash('sha256').update(key).digest('hex');
  const suffix = keyScopes.length > 0 ? `:${keyScopes.join('+')}` : '';
  return { key, entry: `${tenant}:${sha256}${suffix}` };
}

interface KnownKey {
  readonly digest: Buffer;
  readonly principal: Principal;
}

const anybody: Principal = { tenant: 'default', scopes: new Set(scopes) };

/** Far above any key of ours: hashing is bounded whatever a caller sends. */
const keyCharactersMax = 256;

function knownKey(entry: KeyEntry): KnownKey {
  const named = new Set(scopes.filter((scope) => entry.scopes.includes(scope)));
  return { digest: Buffer.from(entry.sha256, 'hex'), principal: { tenant: entry.tenant, scopes: named } };
}

function unauthenticated(what: string): WarmpoolError {
  return new WarmpoolError(
    'UNAUTHENTICATED',
    `${what}: send "authorization: Bearer wp_…" with a key of this service`,
  );
}

/** RFC 4648's alphabet in lower case; 20 bytes are exactly 32 characters, so there is no padding. */
function base32(bytes: Buffer): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
  let bits = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let index = 0; index < (bytes.length * 8) / 5; index++) {
    text = `${alphabet[Number(bits & 31n)]}${text}`;
    bits >>= 5n;
  }
  return text;
}
