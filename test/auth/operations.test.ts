import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertMay, type Operation, scopeOf } from '../../src/auth/operations.ts';
import { scopes } from '../../src/domain/scopes.ts';

test('A3 each operation is open to exactly one scope, whatever the others are', () => {
  for (const operation of Object.keys(scopeOf) as Operation[]) {
    const needed = scopeOf[operation];
    for (const scope of scopes) {
      const attempt = () => assertMay({ tenant: 'acme', scopes: new Set([scope]) }, operation);
      if (scope === needed) assert.doesNotThrow(attempt, `${operation} with ${scope}`);
      else assert.throws(attempt, { code: 'PERMISSION_DENIED' }, `${operation} with ${scope}`);
    }
    const others = new Set(scopes.filter((scope) => scope !== needed));
    const without = () => assertMay({ tenant: 'acme', scopes: others }, operation);
    assert.throws(without, { code: 'PERMISSION_DENIED', details: { facts: { scope: needed } } }, operation);
  }
});

test('A3 pools belong to all tenants: only the scope admin changes them', () => {
  assert.equal(scopeOf.scalePool, 'admin');
});
