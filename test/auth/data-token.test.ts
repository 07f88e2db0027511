import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DataAccess } from '../../src/auth/data-access.ts';
import {
  canSign,
  type DataKey,
  dataKeyOf,
  loadDataKey,
  loadVerifyingKey,
  newDataKey,
} from '../../src/auth/data-key.ts';
import {
  DataTokens,
  dataTokenLifeMs,
  hopTokenLifeMs,
  looksLikeDataToken,
} from '../../src/auth/data-token.ts';
import type { Clock } from '../../src/domain/clock.ts';

const key = newDataKey();
const claim = { tenant: 'alice', claimId: 'c'.repeat(20), scopes: new Set(['exec', 'files'] as const) };

function atTime(wallMs: () => number): Clock {
  return { monotonicMs: () => 0, wallMs, after: () => () => {} };
}

const startMs = 1_800_000_000_000;
let nowMs = startMs;
const clock = atTime(() => nowMs);
const tokens = new DataTokens({ clock }, [key]);

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

const goodHeader = { alg: 'EdDSA', typ: 'JWT', kid: key.kid };
const goodPayload = {
  aud: 'warmpool-data',
  sub: 'alice',
  cid: 'c'.repeat(20),
  scp: ['exec', 'files'],
  iat: startMs / 1_000,
  exp: startMs / 1_000 + 900,
};

function signed(header: unknown, payload: unknown, by: KeyObject = key.privateKey): string {
  const text = `${part(header)}.${part(payload)}`;
  return `${text}.${sign(null, Buffer.from(text), by).toString('base64url')}`;
}

test('a token says who, in which claim, with which scopes and until when', () => {
  nowMs = startMs;
  const { token, expiresInMs } = tokens.issue(claim);
  assert.equal(expiresInMs, dataTokenLifeMs);
  assert.deepEqual(tokens.verify(token), { ...claim, expiresAtMs: startMs + dataTokenLifeMs });
  assert.ok(looksLikeDataToken(token));
  // What the tests below break is good before they do.
  assert.notEqual(tokens.verify(signed(goodHeader, goodPayload)), null);
});

test('A2 a token is good until its end and not after, whether it was seen before or not', () => {
  nowMs = startMs;
  const seen = tokens.issue(claim).token;
  const unseen = tokens.issue({ ...claim, claimId: 'd'.repeat(20) }).token;
  nowMs = startMs + dataTokenLifeMs - 1;
  assert.notEqual(tokens.verify(seen), null);
  nowMs = startMs + dataTokenLifeMs;
  assert.equal(tokens.verify(seen), null);
  assert.equal(tokens.verify(unseen), null);
});

test('A2 no algorithm but Ed25519 is accepted, whatever the header says', () => {
  nowMs = startMs;
  const none = `${part({ ...goodHeader, alg: 'none' })}.${part(goodPayload)}.`;
  assert.equal(tokens.verify(none), null);
  const padded = `${none}${'A'.repeat(86)}`;
  assert.equal(tokens.verify(padded), null);
  // The confusion of old: the public key, which anybody may have, taken for the secret of an HMAC.
  for (const secret of [
    key.publicKey.export({ type: 'spki', format: 'pem' }),
    key.publicKey.export({ type: 'spki', format: 'der' }),
  ]) {
    const text = `${part({ ...goodHeader, alg: 'HS256' })}.${part(goodPayload)}`;
    const mac = createHmac('sha256', secret).update(text).digest();
    assert.equal(tokens.verify(`${text}.${mac.toString('base64url')}`), null);
    // The same length as a signature of ours.
    assert.equal(tokens.verify(`${text}.${Buffer.concat([mac, mac]).toString('base64url')}`), null);
  }
  for (const alg of ['ES256', 'RS256', 'PS256', 'Ed25519', 'eddsa', '']) {
    assert.equal(tokens.verify(signed({ ...goodHeader, alg }, goodPayload)), null, alg);
  }
});

test('A2 a kid chooses among known keys and nothing else', () => {
  nowMs = startMs;
  const stranger = generateKeyPairSync('ed25519').privateKey;
  const kids = [
    '../../../../etc/passwd',
    '/dev/null',
    `${key.kid}/../${key.kid}`,
    'https://example.com/key',
    "' OR 1=1 --",
    '__proto__',
    'constructor',
    '',
    dataKeyOf(stranger).kid,
  ];
  for (const kid of kids) {
    for (const by of [key.privateKey, stranger]) {
      assert.equal(tokens.verify(signed({ ...goodHeader, kid }, goodPayload, by)), null, kid);
    }
  }
  const { kid: _, ...withoutKid } = goodHeader;
  assert.equal(tokens.verify(signed(withoutKid, goodPayload)), null);
  assert.equal(tokens.verify(signed({ ...goodHeader, jwk: { kty: 'OKP' } }, goodPayload, stranger)), null);
  // The known kid under another's signature.
  assert.equal(tokens.verify(signed(goodHeader, goodPayload, stranger)), null);
});

test('A2 claims that are not exactly ours are refused, although our key signed them', () => {
  nowMs = startMs;
  const { aud: _aud, ...withoutAudience } = goodPayload;
  const { exp: _exp, ...withoutExpiry } = goodPayload;
  const wrong: readonly [string, unknown][] = [
    ['another audience', { ...goodPayload, aud: 'warmpool' }],
    ['a list of audiences', { ...goodPayload, aud: ['warmpool-data'] }],
    ['no audience', withoutAudience],
    ['no expiry', withoutExpiry],
    ['an expiry as text', { ...goodPayload, exp: String(goodPayload.exp) }],
    ['an expiry that is no number', { ...goodPayload, exp: null }],
    ['a life of a day', { ...goodPayload, exp: goodPayload.iat + 86_400 }],
    ['a life that ended before it began', { ...goodPayload, iat: goodPayload.exp + 1 }],
    ['a tenant that is no text', { ...goodPayload, sub: { $ne: '' } }],
    ['a claim that is no text', { ...goodPayload, cid: 7 }],
    ['scopes that are no list', { ...goodPayload, scp: 'exec' }],
    ['an unknown scope', { ...goodPayload, scp: ['exec', 'root'] }],
    ['no object', 'alice'],
    ['null', null],
  ];
  for (const [what, payload] of wrong) assert.equal(tokens.verify(signed(goodHeader, payload)), null, what);
});

test('A3 a token never carries a scope that is not about the inside of a sandbox', () => {
  nowMs = startMs;
  const token = signed(goodHeader, { ...goodPayload, scp: ['exec', 'claim', 'admin'] });
  assert.deepEqual([...(tokens.verify(token)?.scopes ?? [])], ['exec']);
  const access = new DataAccess(tokens, 'ws://127.0.0.1:8081');
  const named = access.tokenFor(
    { tenant: 'alice', scopes: new Set(['claim', 'admin', 'ports']) },
    'c'.repeat(20),
  );
  assert.deepEqual([...(tokens.verify(named)?.scopes ?? [])], ['ports']);
  assert.equal(access.tokenFor({ tenant: 'alice', scopes: new Set(['claim']) }, 'c'.repeat(20)), '');
});

test('A2 every other text of a good token is refused: no character of it can be changed, added or left out', () => {
  nowMs = startMs;
  const { token } = tokens.issue(claim);
  for (let at = 0; at < token.length; at += 1) {
    const other = token[at] === '.' ? 'A' : alphabet[(alphabet.indexOf(token[at] ?? 'A') + 1) % 64];
    assert.equal(tokens.verify(`${token.slice(0, at)}${other}${token.slice(at + 1)}`), null, `at ${at}`);
    assert.equal(tokens.verify(token.slice(0, at) + token.slice(at + 1)), null, `without ${at}`);
  }
  // The last character of a signature has bits that say nothing: they may not be used to write it another way.
  const last = alphabet.indexOf(token.at(-1) ?? 'A');
  for (let low = 0; low < 4; low += 1) {
    const twin = `${token.slice(0, -1)}${alphabet[(last & ~3) | low]}`;
    assert.equal(tokens.verify(twin) !== null, twin === token);
  }
  for (const text of ['', '.', '..', 'a.b.c', `${token}=`, ` ${token}`, `${token}\n`, token.repeat(20)]) {
    assert.equal(tokens.verify(text), null, JSON.stringify(text));
  }
});

/** Of as many tenants; a signature that is shared by all of them. */
function preparedTogether(count: number): { readonly claims: typeof claim; readonly token: string }[] {
  nowMs = startMs;
  const prepared = Array.from({ length: count }, (_, index) => {
    const claims = { ...claim, tenant: `tenant-${index}`, claimId: `${index}`.padStart(20, 'c') };
    return { claims, token: tokens.prepare(claims) };
  });
  return prepared.map(({ claims, token }) => ({ claims, token: token() }));
}

test('tokens that are prepared at once share a signature, and each says what is its own', () => {
  // Knows the public key, and none of the tokens from before.
  const node = new DataTokens({ clock }, [key]);
  for (let count = 2; count <= 16; count += 1) {
    const made = preparedTogether(count);
    assert.equal(new Set(made.map(({ token }) => token.split('.', 3).join('.'))).size, 1);
    for (const { claims, token } of made) {
      assert.ok(looksLikeDataToken(token));
      assert.deepEqual(node.verify(token), { ...claims, expiresAtMs: startMs + dataTokenLifeMs });
      assert.deepEqual(tokens.verify(token), { ...claims, expiresAtMs: startMs + dataTokenLifeMs });
      assert.equal(node.verifyHop(token), null);
    }
  }
  nowMs = startMs + dataTokenLifeMs;
  for (const { token } of preparedTogether(3)) {
    nowMs = startMs + dataTokenLifeMs;
    assert.equal(node.verify(token), null);
  }
});

test('a token that is prepared alone is signed alone, at the end of the turn or when it is asked for', async () => {
  nowMs = startMs;
  const alone = tokens.prepare(claim);
  await new Promise((resolve) => setImmediate(resolve));
  // What comes in a later turn is signed by itself.
  const later = tokens.prepare({ ...claim, tenant: 'bob' });
  for (const token of [alone(), later()]) assert.match(token, /^[\w-]+\.[\w-]+\.[\w-]{86}$/);
  assert.equal(tokens.verify(alone())?.tenant, 'alice');
  assert.equal(tokens.verify(later())?.tenant, 'bob');
});

test('A2 a shared signature vouches for nothing but what it was made for', () => {
  const node = new DataTokens({ clock }, [key]);
  const [first, second] = preparedTogether(4).map(({ token }) => token.split('.'));
  assert.ok(first && second);
  const [header = '', payload = '', signature = '', leaf = '', path = ''] = first;
  const [, , , otherLeaf = '', otherPath = ''] = second;
  const shared = `${header}.${payload}.${signature}`;
  assert.notEqual(node.verify(`${shared}.${leaf}.${path}`), null);
  const salt = leaf.slice(0, 24);
  const forged = salt + part({ sub: 'mallory', cid: 'c'.repeat(20), scp: ['exec'] });
  const rootAsLeaf = JSON.parse(Buffer.from(payload, 'base64url').toString()).root;
  const { token: plain } = tokens.issue(claim);
  const wrong: Readonly<Record<string, string>> = {
    'no leaf': shared,
    'a leaf without a path': `${shared}.${leaf}`,
    'a leaf with an empty path': `${shared}.${leaf}.`,
    'a leaf with half of its path': `${shared}.${leaf}.${path.slice(0, 43)}`,
    'a leaf with more than its path': `${shared}.${leaf}.${path}${path.slice(0, 43)}`,
    'a path in another order': `${shared}.${leaf}.${path.slice(43)}${path.slice(0, 43)}`,
    'another’s path': `${shared}.${leaf}.${otherPath}`,
    'another’s leaf': `${shared}.${otherLeaf}.${path}`,
    'a leaf that was never signed': `${shared}.${forged}.${path}`,
    'a salt of its own': `${shared}.${'A'.repeat(24)}${leaf.slice(24)}.${path}`,
    'a node for a leaf': `${shared}.${path.slice(43)}.${path.slice(0, 43)}`,
    'the root for a path': `${shared}.${forged}.${rootAsLeaf}`,
    'a leaf behind a token that was signed alone': `${plain}.${leaf}.${path}`,
    'a root that our key never signed': `${header}.${part({ ...goodPayload, root: rootAsLeaf })}.${signature}.${leaf}.${path}`,
  };
  for (const [what, token] of Object.entries(wrong)) assert.equal(node.verify(token), null, what);
  const token = first.join('.');
  for (let at = 0; at < token.length; at += 1) {
    const other = token[at] === '.' ? 'A' : alphabet[(alphabet.indexOf(token[at] ?? 'A') + 1) % 64];
    assert.equal(node.verify(`${token.slice(0, at)}${other}${token.slice(at + 1)}`), null, `at ${at}`);
    assert.equal(node.verify(token.slice(0, at) + token.slice(at + 1)), null, `without ${at}`);
  }
});

test('tokens of an older key stay good while it is known', () => {
  nowMs = startMs;
  const newer = newDataKey();
  const both = new DataTokens({ clock }, [newer, key]);
  assert.notEqual(both.verify(tokens.issue(claim).token), null);
  assert.equal(tokens.verify(both.issue(claim).token), null);
});

test('the cache of verified tokens is bounded, and what it forgets is verified again', () => {
  nowMs = startMs;
  const first = tokens.issue({ ...claim, claimId: 'first' }).token;
  assert.notEqual(tokens.verify(first), null);
  for (let index = 0; index < 4_200; index += 1) {
    assert.notEqual(tokens.verify(tokens.issue({ ...claim, claimId: `${index}` }).token), null);
  }
  assert.notEqual(tokens.verify(first), null);
});

const folder = mkdtempSync(join(tmpdir(), 'warmpool-data-key-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('A17 the key is made once, for its owner only, and is the same after a restart', () => {
  const made = loadDataKey({ file: null, stateFolder: folder });
  const [name, ...others] = readdirSync(folder);
  assert.deepEqual(others, []);
  const path = join(folder, name ?? '');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const again = loadDataKey({ file: null, stateFolder: folder });
  assert.equal(again.kid, made.kid);
  const { token } = new DataTokens({ clock }, [made]).issue(claim);
  assert.notEqual(new DataTokens({ clock }, [again]).verify(token), null);
});

test('A17 a key file that cannot be used is named, and nothing of its content', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey;
  const files: Readonly<Record<string, string>> = {
    'text.pem': 'correct horse battery staple',
    'rsa.pem': String(rsa.export({ type: 'pkcs8', format: 'pem' })),
  };
  for (const [name, content] of Object.entries(files)) {
    const file = join(folder, name);
    writeFileSync(file, content);
    const read = (): DataKey => loadDataKey({ file, stateFolder: folder });
    assert.throws(read, (error: Error) => {
      assert.ok(error.message.includes(file));
      assert.ok(!error.message.includes(readFileSync(file, 'utf8').slice(0, 20)));
      return true;
    });
  }
  assert.throws(() => loadDataKey({ file: join(folder, 'absent.pem'), stateFolder: folder }), /is not there/);
});

test('A2 D11 the token of another process is no client’s token, nor the other way round, and is good for two minutes', () => {
  nowMs = startMs;
  const hop = tokens.issue({ ...claim, hop: true }).token;
  assert.equal(tokens.verify(hop), null);
  assert.deepEqual(tokens.verifyHop(hop), { ...claim, hop: true, expiresAtMs: startMs + hopTokenLifeMs });
  assert.equal(tokens.verifyHop(tokens.issue(claim).token), null);
  const payload = { ...goodPayload, aud: 'warmpool-hop', exp: goodPayload.iat + hopTokenLifeMs / 1_000 };
  assert.notEqual(tokens.verifyHop(signed(goodHeader, payload)), null);
  assert.equal(tokens.verifyHop(signed(goodHeader, { ...payload, exp: payload.exp + 1 })), null);
  assert.equal(new DataTokens({ clock }, [newDataKey()]).verifyHop(hop), null);
  nowMs = startMs + hopTokenLifeMs;
  assert.equal(tokens.verifyHop(hop), null);
});

test('A2 the public half of a key checks tokens and signs none, and cannot stand where they are signed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'wp-public-key-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  nowMs = startMs;
  const file = join(folder, 'data-key.pub.pem');
  writeFileSync(file, key.publicKey.export({ type: 'spki', format: 'pem' }));
  const half = loadVerifyingKey({ file, stateFolder: folder });
  assert.ok(!canSign(half));
  assert.equal(half.kid, key.kid);
  const node = new DataTokens({ clock }, [half]);
  const { token } = tokens.issue({ ...claim, hop: true });
  assert.equal(node.verifyHop(token)?.tenant, 'alice');
  assert.throws(() => node.issue(claim), /signs none/);
  assert.throws(() => loadDataKey({ file, stateFolder: folder }), /holds a public key, which signs nothing/);

  const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 }).publicKey;
  writeFileSync(file, rsa.export({ type: 'spki', format: 'pem' }));
  assert.throws(() => loadVerifyingKey({ file, stateFolder: folder }), /not Ed25519/);
  writeFileSync(file, 'no key');
  assert.throws(() => loadVerifyingKey({ file, stateFolder: folder }), /cannot be read as a key in PEM/);
});
