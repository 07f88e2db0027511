import assert from 'node:assert/strict';
import { test } from 'node:test';
import { violationsIn } from './checker.ts';
import type { Happening, Line } from './history.ts';

let calls = 0;

function at(...happenings: readonly Happening[]): Line[] {
  return happenings.map((happening, index) => ({ ...happening, atMs: index * 1_000 }));
}

function created(requestId: string, sandbox: string, tenant = 'a'): Happening[] {
  calls += 1;
  const call = { call: calls, what: 'create', tenant, requestId, body: '', via: '', deadlineMs: 5_000 };
  return [
    { t: 'call', ...call },
    { t: 'answer', call: calls, sandbox },
  ];
}

test('a history in which all is well has no violations', () => {
  const bound = { t: 'bound', node: 'n', sandbox: 's1', incarnation: 2, claim: 'c' } as const;
  const history = at(
    ...created('r1', 's1'),
    ...created('r2', 's2'),
    ...created('r1', 's1'),
    bound,
    bound,
    { t: 'event', sandbox: 's1', from: 'ready', to: 'running' },
    { t: 'kept', sandbox: 's1', ttlMs: 1_000 },
    { t: 'gone', sandbox: 's1', why: 'lease_expired' },
  );
  assert.deepEqual(violationsIn(history), []);
});

test('I1 I2 I3 I5 I6 I15 each violation is found and named', () => {
  const lost = { call: 0, what: 'create', tenant: 'a', requestId: 'r', body: '', via: '', deadlineMs: 5_000 };
  const cases: Record<string, readonly Line[]> = {
    'I1: s1 was given to a/r1 and b/r1': at(...created('r1', 's1'), ...created('r1', 's1', 'b')),
    'I1: s1 at incarnation 2 is bound to the claims c and d': at(
      { t: 'bound', node: 'n', sandbox: 's1', incarnation: 2, claim: 'c' },
      { t: 'bound', node: 'n', sandbox: 's1', incarnation: 2, claim: 'd' },
    ),
    'I2: request a/r1 () was given s1 and s2': at(...created('r1', 's1'), ...created('r1', 's2')),
    'I3: s1 was claimed, and is ready again': at(
      { t: 'event', sandbox: 's1', from: 'ready', to: 'running' },
      { t: 'event', sandbox: 's1', from: null, to: 'ready' },
    ),
    'I5: s1 was ended 1995 ms before the end of its keepalive': at(
      { t: 'kept', sandbox: 's1', ttlMs: 3_000 },
      { t: 'gone', sandbox: 's1', why: 'lease_expired' },
    ),
    'I6: left behind: a mount': at({ t: 'left', what: 'a mount' }),
    'I15: create 0 was never answered': at({ t: 'call', ...lost }),
    'I15: create 0 was answered 36000 ms after it was made': [
      { t: 'call', ...lost, atMs: 0 },
      { t: 'refusal', call: 0, code: 'CANCELLED', atMs: 36_000 },
    ],
  };
  for (const [sentence, history] of Object.entries(cases))
    assert.deepEqual(violationsIn(history), [sentence]);
});

test('after a store has lost writes, a sandbox may be in two answers, and still is bound once', () => {
  const history = at(...created('r1', 's1'), ...created('r2', 's1'));
  assert.deepEqual(violationsIn(history, { storeLostWrites: true }), []);
});
