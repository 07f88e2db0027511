import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AllocatorObserver } from '../../src/allocator/observer.ts';
import { endReasons } from '../../src/domain/sandbox.ts';
import type { NodeObserver } from '../../src/node/observer.ts';
import { Metrics } from '../../src/observability/metrics.ts';

/** Sample lines without comments: name and labels → value. */
async function samples(metrics: Metrics): Promise<ReadonlyMap<string, number>> {
  const lines = (await metrics.expose()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

test('it fits the observers of the allocator and the node', () => {
  const observers: AllocatorObserver & NodeObserver = new Metrics([]);
  assert.ok(observers);
});

test('every series is there from the start, at zero', async () => {
  const all = await samples(new Metrics(['base']));
  assert.equal(all.get('warmpool_claims_total{outcome="warm"}'), 0);
  assert.equal(all.get('warmpool_claim_misses_total{cause="no_ready"}'), 0);
  assert.equal(all.get('warmpool_boots_total{runtime="bubblewrap",outcome="failed"}'), 0);
  assert.equal(all.get('warmpool_claim_duration_seconds_count{outcome="warm"}'), 0);
  assert.equal(all.get('warmpool_lease_index_healed_total'), 0);
  assert.equal(all.get('warmpool_orphans_destroyed_total{runtime="docker"}'), 0);
  assert.equal(all.get('warmpool_output_bytes_dropped_total'), 0);
  for (const reason of endReasons)
    assert.equal(all.get(`warmpool_sandboxes_ended_total{reason="${reason}"}`), 0);
});

test('what happened is counted, in seconds', async () => {
  const metrics = new Metrics(['base']);
  metrics.claimEnded('warm', 0.0004);
  metrics.claimEnded('cold', 0.2);
  metrics.missed('no_ready');
  metrics.bootEnded('docker', 'ready', 0.15);
  metrics.bootEnded('docker', 'failed', 30);
  metrics.sandboxEnded('lease_expired');
  metrics.execEnded('exited', 0.002);
  metrics.storeAnswered('claim', 0.0002);
  metrics.storeFailed('renew');
  metrics.indexHealed(2);
  metrics.orphanDestroyed('docker');
  metrics.dropped('output_bytes', 3);
  const all = await samples(metrics);
  assert.equal(all.get('warmpool_claims_total{outcome="warm"}'), 1);
  assert.equal(all.get('warmpool_claim_duration_seconds_sum{outcome="warm"}'), 0.0004);
  assert.equal(all.get('warmpool_claim_duration_seconds_bucket{le="0.0005",outcome="warm"}'), 1);
  assert.equal(all.get('warmpool_claim_misses_total{cause="no_ready"}'), 1);
  assert.equal(all.get('warmpool_boots_total{runtime="docker",outcome="failed"}'), 1);
  assert.equal(all.get('warmpool_boot_duration_seconds_sum{runtime="docker"}'), 0.15);
  assert.equal(all.get('warmpool_sandboxes_ended_total{reason="lease_expired"}'), 1);
  assert.equal(all.get('warmpool_execs_total{outcome="exited"}'), 1);
  assert.equal(all.get('warmpool_store_command_duration_seconds_count{verb="claim"}'), 1);
  assert.equal(all.get('warmpool_store_errors_total{verb="renew"}'), 1);
  assert.equal(all.get('warmpool_lease_index_healed_total'), 2);
  assert.equal(all.get('warmpool_orphans_destroyed_total{runtime="docker"}'), 1);
  assert.equal(all.get('warmpool_output_bytes_dropped_total'), 3);
});

const levels = { ready: 1, starting: 1, live: 7, waiting: 0, target: 5, wanted: 5, offeredLoad: 1 };

test('pool names are labels only while they are configured', async () => {
  const metrics = new Metrics(['old', 'base']);
  metrics.poolLevels('base', { ...levels, ready: 4, wanted: 6, offeredLoad: 2.5 });
  metrics.poolLevels('of-another-allocator', levels);
  metrics.setPools(['base', 'new']);
  const all = await samples(metrics);
  const pools = new Set([...all.keys()].flatMap((key) => /pool="([^"]*)"/.exec(key)?.[1] ?? []));
  assert.deepEqual([...pools].sort(), ['base', 'new']);
  assert.equal(all.get('warmpool_pool_ready{pool="base"}'), 4);
  assert.equal(all.get('warmpool_pool_target{pool="new"}'), 0);
  assert.equal(all.get('warmpool_pool_wanted{pool="base"}'), 6);
  assert.equal(all.get('warmpool_pool_offered_load{pool="base"}'), 2.5);
});

test('levels are read afresh for each scrape, and a failure to read them leaves the old ones', async () => {
  const metrics = new Metrics(['base']);
  let ready = 1;
  metrics.refreshBy(async () => metrics.poolLevels('base', { ...levels, ready: ready++ }));
  assert.equal((await samples(metrics)).get('warmpool_pool_ready{pool="base"}'), 1);
  assert.equal((await samples(metrics)).get('warmpool_pool_ready{pool="base"}'), 2);
  metrics.refreshBy(() => Promise.reject(new Error('the store is away')));
  assert.equal((await samples(metrics)).get('warmpool_pool_ready{pool="base"}'), 2);
});

test('names are in base units and carry no ids', async () => {
  const metrics = new Metrics(['base']);
  const text = await metrics.expose();
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
  for (const [, name = '', type] of types) {
    if (type === 'counter') assert.match(name, /_total$/);
    if (type === 'histogram') assert.match(name, /_seconds$/);
    assert.doesNotMatch(name, /_ms|_millis|_minutes/);
  }
  const labels = new Set([...text.matchAll(/[{,]([a-z_]+)="/g)].map((match) => match[1]));
  assert.deepEqual([...labels].sort(), [
    'cause',
    'code',
    'direction',
    'le',
    'outcome',
    'pool',
    'reason',
    'runtime',
    'use',
    'verb',
  ]);
});

test('data sockets are counted by closed sets: a code that a client makes up is `other`', async () => {
  const metrics = new Metrics([]);
  const { dataPlane } = metrics;
  dataPlane.upgradeAnswered('accepted');
  dataPlane.connectionOpened();
  dataPlane.connectionOpened();
  dataPlane.connectionClosed(4999);
  dataPlane.channelOpened('files');
  dataPlane.received(10);
  dataPlane.sent(5);
  dataPlane.sent(6);
  for (let scrape = 0; scrape < 2; scrape += 1) {
    const text = await metrics.expose();
    assert.match(text, /^warmpool_data_connections 1$/m);
    assert.match(text, /^warmpool_data_closes_total\{code="other"\} 1$/m);
    assert.match(text, /^warmpool_data_closes_total\{code="1013"\} 0$/m);
    assert.match(text, /^warmpool_data_channels\{use="files"\} 1$/m);
    assert.match(text, /^warmpool_data_bytes_total\{direction="received"\} 10$/m);
    assert.match(text, /^warmpool_data_bytes_total\{direction="sent"\} 11$/m);
    assert.doesNotMatch(text, /4999/);
  }
});
