import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { firstEstimate } from '../../src/domain/load-estimate.ts';
import { packageRoot } from '../../src/package-root.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { compileScript } from '../../src/store/redis/script.ts';
import { scripts } from '../../src/store/redis/scripts.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { fence, StoreScenario } from '../support/store-scenario.ts';

const { skip } = await requirement('redis');
const folder = join(packageRoot(), 'src/store/redis/lua');
const all = Object.values(scripts);

test('every script in the folder is loaded, and no other', () => {
  const files = readdirSync(folder).filter((file) => file.endsWith('.lua'));
  assert.deepEqual(all.map(({ name }) => `${name}.lua`).sort(), files.sort());
});

test('every script says its purpose, keys and answer, and uses as many keys as it declares', () => {
  for (const { name, keyCount } of all) {
    const text = readFileSync(join(folder, `${name}.lua`), 'utf8');
    assert.match(text, /^#!lua( flags=[a-z,-]+)?\n--\[\[\n {2}[A-Z][^\n]+/, name);
    assert.match(text, /^ {2}KEYS\[1\]/m, name);
    assert.match(text, /^ {2}Returns \{/m, name);
    const used = [...text.matchAll(/KEYS\[(\d+)\]/g)].map((match) => Number(match[1]));
    assert.equal(Math.max(...used), keyCount, name);
  }
});

test('D3 the clock is read in one place, at most once per script, and nobody passes a time in', () => {
  for (const { name, source } of all) {
    const reads = source.match(/redis\.p?call\('TIME'\)/g) ?? [];
    assert.ok(reads.length <= 1, `${name} reads the clock ${reads.length} times`);
    assert.doesNotMatch(source, /now\w*\s*=[^=\n]*ARGV/, name);
  }
  const readers = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.lua') && readFileSync(join(folder, file), 'utf8').includes("'TIME'"),
  );
  assert.deepEqual(readers, ['includes/now.lua']);
});

test('scripts that only read say so, and scripts that end things run on a full server', () => {
  const flagsOf = (name: string) =>
    all
      .find((script) => script.name === name)
      ?.source.split('\n')[0]
      ?.replace('#!lua', '')
      .trim();
  for (const name of ['read-sandbox', 'read-pool', 'list-due', 'list-owned', 'list-node', 'list-nodes']) {
    assert.equal(flagsOf(name), 'flags=no-writes', name);
  }
  for (const name of [
    'begin-stop',
    'expire-sandbox',
    'finish-stop',
    'report-failed',
    'renew-lease',
    'beat-node',
    'order-node',
    'lose-node',
    'remove-node',
  ]) {
    assert.equal(flagsOf(name), 'flags=allow-oom', name);
  }
  for (const name of ['claim-sandbox', 'reserve-start']) assert.equal(flagsOf(name), '', name);
});

test('a script with a step that the table of transitions does not allow cannot be loaded', () => {
  const script = (directive: string) => () => compileScript('made-up', `#!lua\n${directive}\nreturn 1\n`, 1);
  assert.doesNotThrow(script('--- @transition ready -> running'));
  assert.throws(script('--- @transition stopped -> running'), /stopped to running/);
  assert.throws(script('--- @transition ready -> asleep'), /ready to asleep/);
  assert.throws(() => compileScript('made-up', '#!lua\nreturn STATUS_MADE_UP\n', 1), /STATUS_MADE_UP/);
  assert.throws(() => compileScript('made-up', 'return 1\n', 1), /#!lua/);
});

test('constants come from TypeScript, each include once', () => {
  const source = compileScript(
    'made-up',
    '#!lua\n--- @include "now"\n--- @include "now"\nreturn { STATUS_GARBLED, MAY_BECOME_READY, now_ms }\n',
    1,
  ).source;
  assert.match(source, /^#!lua\nlocal STATUS_GARBLED = 6\nlocal MAY_BECOME_READY = \{ starting = true \}\n/);
  assert.equal(source.match(/local now_ms/g)?.length, 1);
});

test('D2 every key that a script touches carries the tag of its first key', { skip }, async () => {
  await using server = await RedisServer.start();
  const watcher = server.client();
  const monitor = await watcher.monitor();
  const touched: { readonly tag: string; readonly key: string }[] = [];
  let tag = '';
  monitor.on('monitor', (_time: string, [command = '', ...args]: string[], source: string) => {
    const name = command.toLowerCase();
    if (source === 'lua') {
      // These two are about no key.
      if (name !== 'time' && name !== 'info') touched.push({ tag, key: args[0] ?? '' });
    } else if (name === 'evalsha' || name === 'eval') {
      const keys = args.slice(2, 2 + Number(args[1]));
      tag = tagOf(keys[0] ?? '');
      for (const key of keys) touched.push({ tag, key });
    }
  });
  try {
    await using store = new RedisPoolStore({ clock: new SystemClock(), warn: () => {} }, { url: server.url });
    await store.open();
    for (const pool of ['base', 'other-pool', 'third']) await walkThrough(new StoreScenario(store, pool));
  } finally {
    monitor.disconnect();
  }
  assert.ok(touched.length > 300);
  for (const { tag: wanted, key } of touched) assert.equal(tagOf(key), wanted, key);
});

/** The slot of a key is that of its tag, or of the whole key when it has none. */
function tagOf(key: string): string {
  return /\{([^}]+)\}/.exec(key)?.[1] ?? key;
}

/** Every verb at least once, with tenants and nodes whose names look like tags. */
async function walkThrough(scenario: StoreScenario): Promise<void> {
  const { store } = scenario;
  const tenant = `{s99}:${scenario.pool}`;
  await scenario.declare();
  await store.scalePool(scenario.pool, { minReady: 50 });
  const load = firstEstimate({ claims: 0, boots: 0, bootMs: 0 }, 1);
  await store.noteDemand(scenario.pool, null, { load, wanted: 0, wantedAtMs: 1 });
  const surplus = await scenario.ready();
  await store.scalePool(scenario.pool, { minReady: 0 });
  await store.retireSurplus(surplus);
  await store.scalePool(scenario.pool, { minReady: 50 });
  const record = await scenario.claimed({ tenant });
  await store.renew({ id: record.id, tenant }, null, 'extend');
  await store.get(record.id, tenant);
  await store.list({ tenant, pageSize: 10 });
  await store.due(10);
  await store.expire(record.id, record.incarnation);
  await store.beginStop({ id: record.id, tenant }, 'deleted');
  await store.finishStop(fence(record));
  const cold = await scenario.coldStart({ tenant, requestId: '{s98}' });
  await store.reportFailed(fence(cold), 'boot_failed', 'no');
  const declared = await store.readPool(scenario.pool);
  if (declared) await store.declarePool({ ...declared, reserved: { other: 1 } });
  const limits = { maxRunning: 2, createsPerSecond: 1, createsBurst: 2 };
  const wait = { leaseMs: 60_000, poolMax: 4, tenantMax: 4 };
  const waiting = scenario.request({ tenant, limits, wait });
  await store.claim(waiting);
  await store.stopWaiting({ ...waiting, keptMs: 0 });
  const limited = await scenario.coldStart({ tenant, limits });
  await store.beginStop({ id: limited.id, tenant }, 'deleted');
  const starting = await scenario.starting({ nodeId: '{s97}node', bootTimeoutMs: 0 });
  await store.inventory('{s97}node');
  await store.expire(starting.id, 1);
  await store.heartbeat({
    nodeId: '{s97}node',
    runtimes: [],
    pools: [],
    draining: false,
    obeys: null,
    sandboxes: 0,
    capacity: 1,
  });
  await store.nodes();
  await store.readPool(scenario.pool);
  await store.healIndexes();
}
