import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { newSandboxId, shardOfPool } from '../../src/domain/ids.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import type { Demand } from '../../src/domain/sizing.ts';
import { isAllowed } from '../../src/domain/transitions.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { BoundSandbox, PoolStore } from '../../src/store/pool-store.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { pickSeed } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { hourMs, roomySize } from '../support/store-scenario.ts';
import { comparable, follow } from './model-answers.ts';
import { carolsLimits, type Step, sandboxCount, step } from './model-steps.ts';

/**
 * T23: random steps, the same on both stores, every answer compared. Ids are inputs. Times are compared in minutes:
 * every length of time is nothing at all or at least an hour, so a run of seconds cannot tell the stores apart.
 */

const { skip } = await requirement('redis');
/** More in a nightly run. */
const runs = Number(process.env.WARMPOOL_MODEL_RUNS ?? 60);
const stepsMax = 120;

let server: RedisServer;
let redis: RedisPoolStore;

if (skip === false) {
  before(async () => {
    server = await RedisServer.start();
    redis = new RedisPoolStore({ clock: new SystemClock(), warn: () => {} }, { url: server.url });
    await redis.open();
  });
  after(async () => {
    await redis[Symbol.asyncDispose]();
    await server.stop();
  });
}

test('redis: T23 memory and Redis give the same answer to every step', { skip }, async (t: TestContext) => {
  const seed = pickSeed();
  t.diagnostic(`WARMPOOL_SEED=${seed}, ${runs} runs`);
  const raw = server.client();
  let steps = 0;
  const kinds = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 40, maxLength: stepsMax, size: 'max' }), async (script) => {
      await raw.flushall();
      const memory = new MemoryPoolStore({ clock: new SystemClock() });
      const names = new Names();
      const followers = await Promise.all([memory, redis].map((store) => follow(store)));
      for (const one of [{ verb: 'declare', spec: 'v1', size: 0 } as const, ...script]) {
        const [expected, actual] = await Promise.all([
          outcome(memory, one, names),
          outcome(redis, one, names),
        ]);
        assert.deepEqual(actual, expected, `the stores differ at ${JSON.stringify(one)}`);
        steps += 1;
        const kind = kindOf(one, expected);
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      }
      for (const store of [memory, redis]) await assertSound(store, names);
      const [expected, actual] = await Promise.all(followers.map((follower) => follower.end()));
      assert.deepEqual(actual, expected);
      for (const event of expected ?? []) {
        const from = JSON.parse(event)[4];
        const to = JSON.parse(event)[5];
        // A node tells of a sandbox that its store has lost as it is by then.
        const isMade = to === 'starting' || to === 'ready' || to === 'running';
        assert.ok(from === null ? isMade : isAllowed(from, to), event);
      }
    }),
    { seed, numRuns: runs, interruptAfterTimeLimit: 240_000, markInterruptAsFailure: false },
  );
  t.diagnostic(`${steps} steps compared, ${kinds.size} kinds of answers`);
  t.diagnostic(
    [...kinds]
      .sort()
      .map(([kind, count]) => `${kind} ${count}`)
      .join(', '),
  );
  // A generator that stopped reaching the interesting corners would compare nothing of worth.
  assert.ok(kinds.size >= 60 || runs < 60, `${kinds.size} kinds of answers`);
});

const sizes = [
  { ...roomySize, minReady: 4, maxTotal: 6, startsInFlightMax: 3 },
  { ...roomySize, minReady: 2, maxReady: 2, maxTotal: 4, startsInFlightMax: 1 },
  { ...roomySize, minReady: 6, maxTotal: 8, startsInFlightMax: 6, maxIdleAgeMs: 0 },
  { ...roomySize, minReady: 5, maxTotal: 8, startsInFlightMax: 5 },
];

/** The ids of one run, the same for both stores. */
class Names {
  readonly #ids = Array.from({ length: sandboxCount }, () => newSandboxId(shardOfPool('base')));

  id(number: number): string {
    return this.#ids[number] ?? '';
  }

  get all(): readonly string[] {
    return this.#ids;
  }
}

/** Only a few looks, so that some follow each other and most do not. */
function demand(look: number, wanted: number): Demand {
  return {
    load: {
      sampledAtMs: look * hourMs,
      counted: { claims: look, boots: 0, bootMs: 0 },
      claimsPerSecond: { stable: look / 3, panic: 0 },
      bootMs: null,
      beganAtMs: 0,
      claimedAtMs: null,
    },
    wanted,
    wantedAtMs: look * hourMs,
  };
}

async function outcome(store: PoolStore, one: Step, names: Names): Promise<unknown> {
  try {
    return comparable(await carryOut(store, one, names));
  } catch (error) {
    if (isWarmpoolError(error)) return { error: error.code };
    throw error;
  }
}

/** A verb and the shape of its answer, to see how much of the stores a run has met. */
function kindOf(one: Step, answer: unknown): string {
  const { kind, why, state, repeated, record, error } = (answer ?? {}) as Record<string, unknown>;
  const reached = (record as SandboxRecord | undefined)?.state;
  return [one.verb, kind, why, state, repeated === true ? 'repeated' : '', reached, error]
    .filter(Boolean)
    .join(' ');
}

async function carryOut(store: PoolStore, one: Step, names: Names): Promise<unknown> {
  switch (one.verb) {
    case 'declare':
      return store.declarePool({
        name: 'base',
        specVersion: one.spec,
        size: sizes[one.size] ?? roomySize,
        reserved: { carol: 1 },
      });
    case 'scale':
      return store.scalePool('base', { minReady: one.minReady, maxTotal: one.maxTotal });
    case 'note':
      return store.noteDemand(
        'base',
        one.follows === null ? null : demand(one.follows, 0),
        demand(one.look, one.wanted),
      );
    case 'retire':
      return store.retireSurplus(
        await fenceOf(store, { sandbox: one.sandbox, node: '', age: one.age }, names),
      );
    case 'reserve':
      return store.reserveStart({
        id: names.id(one.sandbox),
        pool: 'base',
        nodeId: one.node,
        specVersion: one.spec,
        bootTimeoutMs: one.boot,
      });
    case 'ready':
      return store.reportReady(await fenceOf(store, one, names));
    case 'finish':
      return store.finishStop(await fenceOf(store, one, names));
    case 'fail':
      return store.reportFailed(await fenceOf(store, one, names), 'link_lost', 'the link was lost');
    case 'bound':
      return store.registerBound(await boundOf(store, one, names));
    case 'unclaimed':
      return store.registerReady({
        id: names.id(one.sandbox),
        pool: 'base',
        nodeId: one.node,
        specVersion: one.spec,
        incarnation: one.incarnation,
      });
    case 'claim': {
      // What is charged is charged for one call, which has one body and either waits or does not.
      const isCarol = one.tenant === 'carol';
      const waits = isCarol ? one.request % 2 === 0 : one.wait;
      const cold = isCarol && waits ? null : one.cold;
      return store.claim({
        pool: 'base',
        tenant: one.tenant,
        requestId: `request-${one.request}`,
        bodyHash: isCarol ? 'body' : one.body,
        claimId: `claim-${one.request}`,
        leaseTtlMs: one.ttl,
        maxLifetimeMs: one.life,
        onExpiry: 'kill',
        customisation: { env: { N: String(one.request) }, metadata: { tenant: one.tenant } },
        warm: one.warm,
        waiting: one.waiting,
        ...(waits && { wait: { leaseMs: hourMs, poolMax: 4, tenantMax: 2 } }),
        ...(isCarol && { limits: carolsLimits }),
        cold: cold === null ? null : { id: names.id(cold), nodeId: 'node-a', bootTimeoutMs: one.boot },
      });
    }
    case 'leave':
      return store.stopWaiting({
        pool: 'base',
        tenant: one.tenant,
        requestId: `request-${one.request}`,
        claimId: `claim-${one.request}`,
        keptMs: one.kept,
        ...(one.tenant === 'carol' && { limits: carolsLimits }),
      });
    case 'renew':
      return store.renew({ id: names.id(one.sandbox), tenant: one.tenant }, one.ttl, one.mode);
    case 'stop': {
      const target = { id: names.id(one.sandbox), tenant: one.tenant };
      if (one.age === null) return store.beginStop(target, 'deleted');
      const { incarnation } = await fenceOf(store, { sandbox: one.sandbox, node: '', age: one.age }, names);
      return store.beginStop({ ...target, incarnation }, 'scaled_down');
    }
    case 'expire': {
      const { id, incarnation } = await fenceOf(
        store,
        { sandbox: one.sandbox, node: '', age: one.age },
        names,
      );
      return store.expire(id, incarnation);
    }
    case 'get':
      return store.get(names.id(one.sandbox), one.tenant);
    case 'list':
      return wholeList(store, one);
    case 'due':
      return [...(await store.due(100))].sort((a, b) => (a.id < b.id ? -1 : 1));
    case 'pool':
      return store.readPool('base');
    case 'inventory':
      return store.inventory('node-a');
    case 'nodes':
      return store.nodes();
    case 'orders':
      return [...(await store.nodeOrders())].sort(([a], [b]) => (a < b ? -1 : 1));
    case 'beat':
      return store.heartbeat({
        nodeId: one.node,
        runtimes: ['docker'],
        pools: ['base'],
        draining: false,
        obeys: null,
        sandboxes: 1,
        capacity: 2,
      });
    case 'forget':
      return store.removeNode(one.node, one.silent);
    case 'lose':
      return store.declareLost(one.node, one.silent);
    case 'order':
      return store.orderNode(
        one.node,
        one.kind === 'drain' ? { kind: 'drain', timeoutMs: one.left } : one.kind && { kind: one.kind },
      );
  }
}

/** What a node that is `age` incarnations behind would say. */
async function fenceOf(
  store: PoolStore,
  { sandbox: number, node: nodeId, age: behind }: { sandbox: number; node: string; age: number },
  names: Names,
) {
  const id = names.id(number);
  return { id, nodeId, incarnation: ((await store.get(id, null))?.incarnation ?? 1) - behind };
}

/** What the node's journal says: mostly of the claim that the store knows, or else of another one. */
async function boundOf(store: PoolStore, one: Step & { verb: 'bound' }, names: Names): Promise<BoundSandbox> {
  const id = names.id(one.sandbox);
  const claim = (await store.get(id, null))?.claim;
  const known = one.request % 2 === 0 || claim?.tenant === 'carol' ? claim : undefined;
  const customisation = { env: { N: String(one.request) }, metadata: { tenant: one.tenant } };
  return {
    id,
    pool: 'base',
    specVersion: 'v1',
    launch: 'warm',
    nodeId: one.node,
    incarnation: one.incarnation,
    createdAtMs: hourMs,
    ...(one.isReadyKnown ? { readyAtMs: hourMs } : {}),
    claim: {
      tenant: known?.tenant ?? one.tenant,
      claimId: known?.claimId ?? `claim-${one.request}`,
      claimedAtMs: hourMs,
      customisation,
    },
    leaseTtlMs: one.left,
    onExpiry: 'kill',
    leaseLeftMs: one.left,
    lifeLeftMs: one.life,
  };
}

async function wholeList(store: PoolStore, one: Step & { verb: 'list' }): Promise<unknown> {
  const pages: (readonly SandboxRecord[])[] = [];
  const query = {
    tenant: one.tenant,
    pageSize: one.pageSize,
    ...(one.state === null ? {} : { states: [one.state] }),
  };
  for (let pageToken: string | undefined; ; ) {
    const page = await store.list({ ...query, ...(pageToken === undefined ? {} : { pageToken }) });
    pages.push(page.records);
    pageToken = page.nextPageToken;
    if (pageToken === undefined) return pages;
  }
}

/** I8 and I17, from the outside: counts are those of the records. */
async function assertSound(store: PoolStore, names: Names): Promise<void> {
  const records = await Promise.all(names.all.map((id) => store.get(id, null)));
  const count = (isCounted: (record: SandboxRecord) => boolean) =>
    records.filter((record) => record !== null && isCounted(record)).length;
  const pool = await store.readPool('base');
  if (pool === null) return;
  assert.equal(
    pool.ready,
    count(({ state }) => state === 'ready'),
  );
  assert.equal(
    pool.starting,
    count(({ state, claim }) => state === 'starting' && claim === undefined),
  );
  assert.equal(
    pool.live,
    count(({ state }) => state !== 'stopped' && state !== 'failed'),
  );
  assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
}
