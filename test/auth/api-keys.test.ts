import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { ApiKeys, newApiKey } from '../../src/auth/api-keys.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';

test('A1 a key is wp_ and 160 random bits, and is stored as its SHA-256 only', () => {
  const made = Array.from({ length: 200 }, () => newApiKey('acme', ['claim', 'exec']));
  assert.equal(new Set(made.map(({ key }) => key)).size, 200);
  for (const { key, entry } of made) {
    // 32 characters of 5 bits.
    assert.match(key, /^wp_[a-z2-7]{32}$/);
    const sha256 = createHash('sha256').update(key).digest('hex');
    assert.equal(entry, `acme:${sha256}:claim+exec`);
    assert.ok(!entry.includes(key.slice(3)));
  }
  const characters = new Set(made.flatMap(({ key }) => [...key.slice(3)]));
  assert.equal(characters.size, 32, 'every character of the alphabet turns up in 6,400');
});

test('A1 a known key says who calls and what for; every other one is refused alike', () => {
  const acme = newApiKey('acme', ['claim']);
  const keys = new ApiKeys([entryOf(acme.entry)]);
  const principal = keys.authenticate(`Bearer ${acme.key}`);
  assert.equal(principal.tenant, 'acme');
  assert.deepEqual([...principal.scopes], ['claim']);
  assert.equal(keys.authenticate(`bearer ${acme.key} `).tenant, 'acme');

  const other = newApiKey('acme').key;
  for (const wrong of [
    other,
    acme.key.slice(0, -1),
    `${acme.key}a`,
    acme.key.toUpperCase(),
    entryOf(acme.entry).sha256,
  ]) {
    assert.match(refusal(keys, `Bearer ${wrong}`), /not one that this service knows/);
  }
});

test('A1 an entry whose hash is written in capitals is the same key', () => {
  const { key, entry } = newApiKey('acme');
  const { sha256, ...rest } = entryOf(entry);
  const keys = new ApiKeys([{ ...rest, sha256: sha256.toUpperCase() }]);
  assert.equal(keys.authenticate(`Bearer ${key}`).tenant, 'acme');
});

test('A17 what is refused is never repeated in the message', () => {
  const keys = new ApiKeys([entryOf(newApiKey('acme').entry)]);
  const { key } = newApiKey('acme');
  for (const header of [
    `Bearer ${key}`,
    key,
    `Basic ${key}`,
    `Bearer ${key} ${key}`,
    `Bearer ${'x'.repeat(10_000)}`,
    '',
  ]) {
    const message = refusal(keys, header);
    assert.ok(!message.includes(key), message);
    assert.ok(message.length < 200);
    assert.match(message, /send "authorization: Bearer wp_…"/);
  }
  assert.match(refusal(keys, undefined), /carries no API key/);
});

test('with no keys configured everybody is the tenant "default" with every scope', () => {
  const keys = new ApiKeys([]);
  assert.equal(keys.required, false);
  for (const header of [undefined, 'Bearer wp_anything', 'nonsense']) {
    const principal = keys.authenticate(header);
    assert.equal(principal.tenant, 'default');
    assert.deepEqual([...principal.scopes], ['claim', 'exec', 'files', 'ports', 'admin']);
  }
});

function entryOf(entry: string): { tenant: string; sha256: string; scopes: string[] } {
  const [tenant = '', sha256 = '', scopes = 'claim'] = entry.split(':');
  return { tenant, sha256, scopes: scopes.split('+') };
}

function refusal(keys: ApiKeys, header: string | undefined): string {
  try {
    keys.authenticate(header);
  } catch (error) {
    assert.ok(isWarmpoolError(error) && error.code === 'UNAUTHENTICATED');
    return error.message;
  }
  assert.fail('it was let in');
}
