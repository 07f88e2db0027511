import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Allocator } from '../../src/allocator/allocator.ts';
import { Placement } from '../../src/allocator/placement.ts';
import { ApiKeys } from '../../src/auth/api-keys.ts';
import { newDataKey } from '../../src/auth/data-key.ts';
import { DataTokens } from '../../src/auth/data-token.ts';
import { silentObserver } from '../../src/data-plane/observer.ts';
import { PoolCatalog } from '../../src/domain/pool-catalog.ts';
import { XgenDialect } from '../../src/http/xgen/xgen-dialect.ts';
import { Metrics } from '../../src/observability/metrics.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { TransitionFeed } from '../../src/store/transition-feed.ts';
import { ManualClock } from '../guest-link/manual-clock.ts';
import { bubblewrapAsRoot, eventually } from '../support/bubblewrap-sandboxes.ts';
import { SilentLog } from '../support/silent-log.ts';
import { fence, hourMs, StoreScenario } from '../support/store-scenario.ts';
import { refusedUpgrade } from './xgen-client.ts';
import { keys, XgenService } from './xgen-service.ts';

/** The dialect over a store whose time stands still; nothing in it boots. */
function dialectOver(store: MemoryPoolStore, clock: ManualClock): XgenDialect {
  const log = new SilentLog();
  const dataKey = newDataKey();
  const allocator = new Allocator({
    store,
    catalog: new PoolCatalog([]),
    feed: new TransitionFeed({ store, clock, log }),
    placement: new Placement({ store, clock, log }),
    clock,
    observer: new Metrics([]),
    startCold: () => null,
    remove: () => null,
    guestOf: () => null,
    vouch: async () => false,
    describePool: () => ({ runtime: '', note: '' }),
    poolChanged: () => {},
  });
  return new XgenDialect(
    {
      allocator,
      keys: new ApiKeys([]),
      dataTokens: new DataTokens({ clock }, [dataKey]),
      dataKey,
      clock,
      observer: silentObserver,
      ownStates: async () => [],
      ownerOf: async () => null,
      log,
    },
    {
      externalUrl: null,
      previewDomain: null,
      previewAuth: 'required',
      requestsPerMinuteMax: 0,
      trustedProxies: [],
    },
  );
}

it('27. a sandbox whose time was up is 410 in v2 for an hour, then 404; in v1 it is 404 at once', async () => {
  const clock = new ManualClock();
  await using store = new MemoryPoolStore({ clock });
  await using dialect = dialectOver(store, clock);
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const [expired, deleted] = [
    await scenario.claimed({ tenant: 'default' }),
    await scenario.claimed({ tenant: 'default' }),
  ];
  const ask = async (method: string, path: string) => {
    const from = { incoming: { socket: { remoteAddress: '127.0.0.1' }, headers: {} } };
    const answer = await dialect.app.request(`http://here${path}`, { method }, from);
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };
  clock.advance(60_000);
  await store.expire(expired.id, expired.incarnation);
  await store.beginStop({ id: deleted.id, tenant: 'default' }, 'deleted');
  assert.equal((await ask('GET', `/api/v2/sandboxes/${expired.id}`)).body.status, 'stopping');
  for (const each of [expired, deleted]) await store.finishStop(fence(each));

  const gone = await ask('GET', `/api/v2/sandboxes/${expired.id}`);
  const { message, request_id, ...rest } = gone.body;
  assert.deepEqual(rest, {
    code: 'SANDBOX_EXPIRED',
    details: { sandbox_id: expired.id, expired_at_ms: expired.lease?.expiresAtMs },
    retryable: false,
  });
  assert.deepEqual([typeof message, typeof request_id], ['string', 'string']);
  const routes = [
    ['DELETE', ''],
    ['POST', '/keepalive'],
    ['GET', '/services'],
  ] as const;
  for (const [method, path] of routes) {
    assert.equal((await ask(method, `/xgen/api/v2/sandboxes/${expired.id}${path}`)).status, 410, path);
    assert.equal((await ask(method, `/api/v1/sandboxes/${expired.id}${path}`)).status, 404, path);
    assert.equal((await ask(method, `/api/v2/sandboxes/${deleted.id}${path}`)).status, 404, path);
  }
  clock.advance(hourMs - 1);
  assert.equal((await ask('GET', `/api/v2/sandboxes/${expired.id}`)).status, 410);
  clock.advance(1);
  const forgotten = await ask('GET', `/api/v2/sandboxes/${expired.id}`);
  assert.deepEqual([forgotten.status, forgotten.body.code], [404, 'SANDBOX_NOT_FOUND']);
});

const { skip } = await bubblewrapAsRoot();

it('27. a real sandbox is 410 once its time is up, for its tenant alone, on every route of v2', {
  skip,
}, async () => {
  await using service = await XgenService.start({
    minReady: 1,
    env: { WARMPOOL_XGEN_REQUESTS_PER_MINUTE: '0' },
  });
  const created = await service.call('POST', '/api/v2/sandboxes', { body: { timeout_ms: 1_000 } });
  const one = `/api/v2/sandboxes/${created.body.id}`;
  let answer = await service.call('GET', one);
  await eventually(async () => {
    answer = await service.call('GET', one);
    return answer.status !== 200;
  }, 'its time is up');
  assert.deepEqual(
    [answer.status, answer.body.code, answer.body.details],
    [410, 'SANDBOX_EXPIRED', { sandbox_id: created.body.id, expired_at_ms: created.body.expires_at_ms }],
  );
  const exec = await service.call('POST', `${one}/exec`, { body: { command: 'true' } });
  assert.equal(exec.status, 410);
  const socket = service.socketUrl(String(created.body.id));
  const headers = { authorization: `ApiKey ${keys.admin}` };
  assert.equal((await refusedUpgrade(socket.replace('/v1/', '/v2/'), { headers })).status, 410);
  assert.equal((await refusedUpgrade(socket, { headers })).status, 404);
  assert.equal((await service.call('GET', one, { key: keys.stranger })).status, 404);
  assert.equal((await service.call('GET', one.replace('v2', 'v1'))).status, 404);
});
