import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StartGate, type StartKind } from '../../src/node/start-gate.ts';

const never = new AbortController().signal;

/** Enters in order and notes who was let in. */
function gate(options: { foregroundMax: number; refillMax: number }) {
  const startGate = new StartGate(options);
  const admitted: string[] = [];
  const leave = new Map<string, () => void>();
  const enter = (name: string, kind: StartKind, signal = never) =>
    startGate.enter(kind, signal).then((leaveGate) => {
      admitted.push(name);
      leave.set(name, leaveGate);
    });
  return { admitted, enter, leave: (name: string) => leave.get(name)?.() };
}

/** Lets every settled promise run its handlers. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test('refills fill the host when nobody waits', async () => {
  const { admitted, enter, leave } = gate({ foregroundMax: 4, refillMax: 2 });
  for (const name of ['r1', 'r2', 'r3']) void enter(name, 'refill');
  await settle();
  assert.deepEqual(admitted, ['r1', 'r2']);
  leave('r1');
  await settle();
  assert.deepEqual(admitted, ['r1', 'r2', 'r3']);
});

test('a foreground boot goes before every refill that waits, and refills wait while it runs', async () => {
  const { admitted, enter, leave } = gate({ foregroundMax: 4, refillMax: 1 });
  for (const name of ['r1', 'r2']) void enter(name, 'refill');
  void enter('f1', 'foreground');
  await settle();
  leave('r1');
  await settle();
  assert.deepEqual(admitted, ['r1', 'f1']);
  leave('f1');
  await settle();
  assert.deepEqual(admitted, ['r1', 'f1', 'r2']);
});

test('under a steady stream of foreground boots one refill in seventeen boots still gets through', async () => {
  const { admitted, enter, leave } = gate({ foregroundMax: 1, refillMax: 1 });
  void enter('f0', 'foreground');
  void enter('refill', 'refill');
  for (let index = 1; index <= 20; index += 1) void enter(`f${index}`, 'foreground');
  for (let index = 0; index < 20; index += 1) {
    await settle();
    leave(admitted.at(-1) ?? '');
  }
  assert.equal(admitted.indexOf('refill'), 16);
});

test('one that gives up in the line is passed over', async () => {
  const { admitted, enter, leave } = gate({ foregroundMax: 1, refillMax: 1 });
  await enter('f1', 'foreground');
  const caller = new AbortController();
  const gaveUp = enter('f2', 'foreground', caller.signal);
  void enter('f3', 'foreground');
  caller.abort(new Error('gone'));
  await assert.rejects(gaveUp, /gone/);
  leave('f1');
  leave('f1');
  await settle();
  assert.deepEqual(admitted, ['f1', 'f3']);
});
