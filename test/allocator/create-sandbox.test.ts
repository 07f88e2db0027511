import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Allocator } from '../../src/allocator/allocator.ts';
import type { CreateRequest } from '../../src/allocator/api.ts';
import { Placement } from '../../src/allocator/placement.ts';
import { SystemClock } from '../../src/domain/clock.ts';
import { type ErrorCode, isWarmpoolError, WarmpoolError } from '../../src/domain/errors.ts';
import type { EndReason, SandboxRecord } from '../../src/domain/sandbox.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type {
  ClaimAnswer,
  ClaimRequest,
  HeardNode,
  StopTarget,
  StoreEvent,
  TransitionAnswer,
} from '../../src/store/pool-store.ts';
import { alice, bob, never, plain, poolSpec, startCore } from '../support/core.ts';
import { fence } from '../support/store-scenario.ts';
import { until } from '../support/until.ts';
import { within } from '../support/within.ts';

function hasCode(code: ErrorCode, field?: string) {
  return (error: unknown) => {
    assert.ok(isWarmpoolError(error), String(error));
    assert.equal(error.code, code, error.message);
    if (field)
      assert.ok(
        error.details.violations?.some((violation) => violation.field === field),
        error.message,
      );
    return true;
  };
}

test('hands out a ready sandbox, leased to its tenant, with what was asked for in its record', async () => {
  await using core = await startCore();
  await core.until('base', (pool) => pool.ready === 2);
  const request = { ...plain, timeoutMs: 60_000, env: { A: '1' }, metadata: { job: '7' }, cwd: '/tmp' };
  const { record, repeated } = await core.allocator.createSandbox(alice, request, never);
  assert.deepEqual([record.state, record.launch, repeated], ['running', 'warm', false]);
  assert.deepEqual(record.claim?.customisation, { env: { A: '1' }, metadata: { job: '7' }, cwd: '/tmp' });
  assert.equal(record.lease?.ttlMs, 60_000);
});

test('an empty pool is a cold start, not an error', async () => {
  await using core = await startCore({ pools: [poolSpec({ size: { minReady: 0 } })] });
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  assert.deepEqual([record.state, record.launch], ['running', 'cold']);
});

test('other resources than the template has are booted for their claim, whatever is ready and whatever onMiss says', async () => {
  await using core = await startCore({ pools: [poolSpec({ size: { minReady: 1, onMiss: 'fail' } })] });
  await core.until('base', (pool) => pool.ready === 1);
  const booted: unknown[] = [];
  core.runtime.onBoot = async ({ template }) => void booted.push(template.resources);
  const { cpu, memoryMb, diskMb, pids } = poolSpec().template.resources;
  const { record } = await core.allocator.createSandbox(
    alice,
    { ...plain, resources: { memoryMb: memoryMb + 1 } },
    never,
  );
  assert.deepEqual([record.state, record.launch], ['running', 'cold']);
  assert.deepEqual(booted, [{ cpu, memoryMb: memoryMb + 1, diskMb, pids }]);
  assert.equal((await core.store.readPool('base'))?.counters.missesUncacheable, 1);
  const same = await core.allocator.createSandbox(alice, { ...plain, resources: { cpu, memoryMb } }, never);
  assert.equal(same.record.launch, 'warm');
  const tooMuch = { ...plain, resources: { cpu: 2_000, memoryMb: 0.5 } };
  await assert.rejects(core.allocator.createSandbox(alice, tooMuch, never), hasCode('INVALID_REQUEST'));
});

test('onMiss fail refuses at once with a time to try again', async () => {
  await using core = await startCore({ pools: [poolSpec({ size: { minReady: 0, onMiss: 'fail' } })] });
  await assert.rejects(core.allocator.createSandbox(alice, plain, never), (error) => {
    assert.ok(isWarmpoolError(error) && error.code === 'NO_CAPACITY');
    assert.equal(error.details.retryAfterMs, 1_000);
    return true;
  });
});

test('onMiss wait gets the next sandbox that becomes ready, or gives up after the wait', async () => {
  await using core = await startCore({ pools: [poolSpec({ size: { minReady: 0, onMiss: 'wait' } })] });
  await assert.rejects(
    core.allocator.createSandbox(alice, { ...plain, waitMs: 50 }, never),
    hasCode('NO_CAPACITY'),
  );
  const waiting = core.allocator.createSandbox(alice, { ...plain, waitMs: 30_000 }, never);
  await core.allocator.scalePool(alice, 'base', { minReady: 1 });
  assert.equal((await waiting).record.launch, 'warm');
});

/** A store that nobody can follow. */
class DeafStore extends MemoryPoolStore {
  override follow(
    _cursor: string | null,
    signal: AbortSignal,
  ): Promise<AsyncIterable<readonly StoreEvent[]>> {
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  }
}

test('D6 with every event lost a waiting create is still served, and a delete still sees the end', async () => {
  await using store = new DeafStore({ clock: new SystemClock() });
  const pools = [poolSpec({ size: { minReady: 0, onMiss: 'wait' } })];
  await using core = await startCore({ store, pools });
  // Much longer than anybody here waits: what is found only at its end is not found by looking.
  const over = new AbortController();
  using _over = { [Symbol.dispose]: () => over.abort(new WarmpoolError('CANCELLED', 'the test is over')) };
  const creating = core.allocator.createSandbox(alice, { ...plain, waitMs: 300_000 }, over.signal);
  creating.catch(() => {});
  await core.allocator.scalePool(alice, 'base', { minReady: 1 });
  const { record } = await within(creating, () => 'the create is not served', 30_000);
  await core.allocator.deleteSandbox(alice, record.id, never);
  assert.equal((await store.get(record.id, null))?.state, 'stopped');
});

test('D6 with every event lost a cold start on another node is still seen to be up', async () => {
  const clock = new SystemClock();
  await using store = new DeafStore({ clock });
  await using core = await startCore({ store, pools: [poolSpec({ size: { minReady: 0 } })] });
  const elsewhere: HeardNode = {
    ...{ nodeId: 'node-b', runtimes: ['docker'], pools: ['base'], draining: false, obeys: null },
    ...{ sandboxes: 0, capacity: 10, heartbeatAgeMs: 0, heartbeatAtMs: 0, lostForMs: null, order: null },
  };
  const { catalog, feed, log, observer } = core;
  await using placement = new Placement({ store: { nodes: async () => [elsewhere] }, clock, log });
  await placement.start();
  const allocator = new Allocator({
    ...{ store, catalog, feed, placement, clock, observer },
    ...{ startCold: () => null, remove: () => null, guestOf: () => null, vouch: async () => false },
    ...{ describePool: () => ({ runtime: '', note: '' }), poolChanged: () => {} },
  });
  const over = new AbortController();
  using _over = { [Symbol.dispose]: () => over.abort(new WarmpoolError('CANCELLED', 'the test is over')) };
  const creating = allocator.createSandbox(alice, plain, over.signal);
  creating.catch(() => {});
  const reserved = async () => (await store.inventory('node-b'))[0];
  await until(async () => (await reserved()) !== undefined, 'a place on the other node');
  const record = await reserved();
  assert.ok(record);
  assert.equal((await store.reportReady(fence(record))).kind, 'done');
  const served = await within(creating, () => 'the create does not see it', 30_000);
  assert.deepEqual([served.record.id, served.record.state], [record.id, 'running']);
});

for (const [thrown, told, reason, retries] of [
  ['BOOT_FAILED', 'BOOT_FAILED', 'boot_failed', true],
  ['GUEST_UNREACHABLE', 'BOOT_FAILED', 'boot_failed', true],
  ['RUNTIME_UNAVAILABLE', 'RUNTIME_UNAVAILABLE', 'runtime_unavailable', true],
  // It will not be there in a moment either.
  ['IMAGE_MISSING', 'IMAGE_MISSING', 'image_missing', false],
] as const) {
  test(`a cold start that fails with ${thrown} is ${told} for its caller, and the record keeps why`, async () => {
    await using core = await startCore({ pools: [poolSpec({ size: { minReady: 0 } })] });
    core.runtime.onBoot = () => Promise.reject(new WarmpoolError(thrown, 'so it was'));
    let sandboxId = '';
    await assert.rejects(core.allocator.createSandbox(alice, plain, never), (error) => {
      assert.ok(isWarmpoolError(error) && error.code === told, String(error));
      assert.match(error.message, /so it was/);
      assert.equal(error.details.retryAfterMs !== undefined, retries);
      sandboxId = error.details.facts?.sandbox ?? '';
      return true;
    });
    assert.equal((await core.store.get(sandboxId, 'alice'))?.endReason, reason);
  });
}

test('maxTotal is a hard limit for cold starts too', async () => {
  await using core = await startCore({
    pools: [poolSpec({ size: { minReady: 0, maxReady: 1, maxTotal: 1 } })],
  });
  await core.allocator.createSandbox(alice, plain, never);
  await assert.rejects(core.allocator.createSandbox(alice, plain, never), hasCode('NO_CAPACITY'));
});

test('the same request id and body give the same sandbox; another body is refused; another tenant is free', async () => {
  await using core = await startCore();
  const request = { ...plain, requestId: 'job-1', env: { A: '1', B: '2' } };
  const first = await core.allocator.createSandbox(alice, request, never);
  const again = await core.allocator.createSandbox(alice, { ...request, env: { B: '2', A: '1' } }, never);
  assert.deepEqual([again.record.id, again.repeated], [first.record.id, true]);
  await assert.rejects(
    core.allocator.createSandbox(alice, { ...request, env: {} }, never),
    hasCode('REQUEST_ID_REUSED', 'request_id'),
  );
  const other = await core.allocator.createSandbox(bob, request, never);
  assert.notEqual(other.record.id, first.record.id);
});

test('D1 a claim whose answer is lost is repeated without taking a second sandbox', async () => {
  class ForgetfulStore extends MemoryPoolStore {
    lost = 0;

    override async claim(request: ClaimRequest) {
      const answer = await super.claim(request);
      this.lost += 1;
      if (this.lost === 1) throw new WarmpoolError('STORE_UNAVAILABLE', 'the answer was lost');
      return answer;
    }
  }
  await using store = new ForgetfulStore({ clock: new SystemClock() });
  await using core = await startCore({ store });
  await core.until('base', (pool) => pool.ready === 2);
  await core.allocator.createSandbox(alice, plain, never);
  assert.equal((await core.until('base', (pool) => pool.ready === 2)).live, 3);
});

test('an unknown template is TEMPLATE_NOT_FOUND', async () => {
  await using core = await startCore();
  await assert.rejects(
    core.allocator.createSandbox(alice, { ...plain, template: 'nope' }, never),
    hasCode('TEMPLATE_NOT_FOUND', 'template'),
  );
});

const badRequests: readonly [string, Partial<CreateRequest>, string][] = [
  ['an empty template', { template: '' }, 'template'],
  ['a timeout of nothing', { timeoutMs: 0 }, 'timeout'],
  ['a negative timeout', { timeoutMs: -5_000 }, 'timeout'],
  ['a timeout over the pool’s maxLifetime', { timeoutMs: 6 * 86_400_000 }, 'timeout'],
  ['a timeout that is no number', { timeoutMs: Number.NaN }, 'timeout'],
  ['a variable name with =', { env: { 'A=B': '1' } }, 'env.A=B'],
  ['a NUL in a value', { env: { A: 'x\0y' } }, 'env.A'],
  ['a value that is too long', { env: { A: 'x'.repeat(40_000) } }, 'env.A'],
  [
    'too many variables',
    { env: Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`V${i}`, ''])) },
    'env',
  ],
  [
    'env and metadata that are too big together',
    { env: { A: 'x'.repeat(32_000), B: 'x'.repeat(32_000), C: 'x'.repeat(2_000) } },
    'env',
  ],
  ['reserved metadata', { metadata: { 'warmpool.owner': 'me' } }, 'metadata.warmpool.owner'],
  ['a long metadata value', { metadata: { a: 'é'.repeat(600) } }, 'metadata.a'],
  ['a relative cwd', { cwd: 'tmp' }, 'cwd'],
  ['an empty user', { user: '' }, 'user'],
  ['a long request id', { requestId: 'x'.repeat(129) }, 'request_id'],
  ['a request id with a line break', { requestId: 'a\nb' }, 'request_id'],
  ['a wait beside on_miss fail', { onMiss: 'fail', waitMs: 5 }, 'wait'],
  ['a wait of days', { onMiss: 'wait', waitMs: 1e9 }, 'wait'],
];

for (const [name, change, field] of badRequests) {
  test(`refuses ${name}, naming ${field.slice(0, 20)}, and takes no sandbox`, async () => {
    await using core = await startCore();
    await core.until('base', (pool) => pool.ready === 2);
    await assert.rejects(
      core.allocator.createSandbox(alice, { ...plain, ...change }, never),
      hasCode('INVALID_REQUEST', field),
    );
    assert.equal((await core.until('base', () => true)).ready, 2);
  });
}

/** A store that was put back to before alice's claim, and gives bob her sandbox as a boot in flight. */
class PutBackStore extends MemoryPoolStore {
  given: SandboxRecord | null = null;
  readonly stopped: (string | null)[] = [];

  override async claim(request: ClaimRequest): Promise<ClaimAnswer> {
    const { tenant, claimId, customisation } = request;
    if (this.given === null || tenant !== 'bob') return super.claim(request);
    const { lease: _, ...record } = this.given;
    const claim = { tenant, claimId, claimedAtMs: 0, customisation };
    return { kind: 'starting', record: { ...record, state: 'starting', claim }, repeated: false };
  }

  override async beginStop(target: StopTarget, reason: EndReason): Promise<TransitionAnswer> {
    this.stopped.push(target.tenant);
    return super.beginStop(target, reason);
  }
}

test('D7 I16 a create that was given a sandbox of another tenant is refused and told nothing of it', async () => {
  await using store = new PutBackStore({ clock: new SystemClock() });
  await using core = await startCore({ store, pools: [poolSpec({ size: { minReady: 0 } })] });
  const { record } = await core.allocator.createSandbox(alice, { ...plain, env: { SECRET: 'hers' } }, never);
  store.given = record;
  await assert.rejects(core.allocator.createSandbox(bob, plain, never), (error) => {
    assert.ok(isWarmpoolError(error) && error.code === 'CLAIM_CONFLICT', JSON.stringify(error));
    assert.doesNotMatch(JSON.stringify([error.message, error.details]), /hers|alice/);
    return true;
  });
  assert.equal((await store.get(record.id, 'alice'))?.state, 'running');
});

test('I10 whoever leaves a create ends what is theirs only, whoever has the sandbox by then', async () => {
  await using store = new PutBackStore({ clock: new SystemClock() });
  await using core = await startCore({ store, pools: [poolSpec({ size: { minReady: 0 } })] });
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  store.given = record;
  await assert.rejects(core.allocator.createSandbox(bob, plain, AbortSignal.abort()));
  assert.equal((await store.get(record.id, 'alice'))?.state, 'running');
  assert.ok(!store.stopped.includes(null));
});
