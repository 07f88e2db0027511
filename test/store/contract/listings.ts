import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWarmpoolError } from '../../../src/domain/errors.ts';
import { shardOfPool } from '../../../src/domain/ids.ts';
import type { ListQuery, PoolStore } from '../../../src/store/pool-store.ts';
import { StoreScenario } from '../../support/store-scenario.ts';
import { type Contract, openScenario } from '../contract.ts';

export function listingContract(contract: Contract): void {
  const { name, skip } = contract;

  test(`${name}: A4 a foreign, an unclaimed and an unknown sandbox read alike`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const claimed = await scenario.claimed();
    const unclaimed = await scenario.ready();
    for (const id of [claimed.id, unclaimed.id, scenario.newId(), '', 'x', '99'.padEnd(20, 'a')]) {
      for (const tenant of ['bob', '', 'alice ', 'ALICE']) assert.equal(await store.get(id, tenant), null);
      const refused = { kind: 'refused', why: 'not_found' };
      assert.deepEqual(await store.beginStop({ id, tenant: 'bob' }, 'deleted'), refused);
      assert.deepEqual(await store.beginStop({ id, tenant: '' }, 'deleted'), refused);
      assert.deepEqual(await store.renew({ id, tenant: 'bob' }, null, 'extend'), refused);
    }
    assert.equal((await store.get(claimed.id, 'alice'))?.id, claimed.id);
    assert.equal((await store.get(unclaimed.id, null))?.id, unclaimed.id);
    assert.equal((await store.get(claimed.id, null))?.state, 'running');
  });

  test(`${name}: A4 a listing holds the tenant's own sandboxes only`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const alices = await scenario.claimed();
    const bobs = await scenario.claimed({ tenant: 'bob' });
    await scenario.ready();
    const ids = async (tenant: string, pageToken?: string) => {
      const query = { tenant, pageSize: 10, ...(pageToken === undefined ? {} : { pageToken }) };
      return (await scenario.store.list(query)).records.map(({ id }) => id);
    };
    assert.deepEqual(await ids('alice'), [alices.id]);
    assert.deepEqual(await ids('bob'), [bobs.id]);
    assert.deepEqual(await ids('carol'), []);
  });

  test(`${name}: pages hold everything once, newest first within a shard`, { skip }, async () => {
    const store = await contract.open();
    await using _closed = store;
    const pools = poolsOfDifferentShards(3).map((pool) => new StoreScenario(store, pool));
    const made: { readonly id: string; readonly shard: number }[] = [];
    for (let round = 0; round < 5; round += 1) {
      for (const scenario of pools) {
        await scenario.declare();
        const { id } = await scenario.claimed({ requestId: `${scenario.pool}-${round}` });
        made.unshift({ id, shard: shardOfPool(scenario.pool) });
      }
    }
    const expected = made.sort((a, b) => a.shard - b.shard).map(({ id }) => id);
    for (const pageSize of [1, 4, 15, 100]) {
      assert.deepEqual(await allPages(store, { tenant: 'alice', pageSize }), expected);
    }
  });

  test(`${name}: a listing goes on after its page though others came and went`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const old = await scenario.claimed();
    const middle = await scenario.claimed();
    await scenario.claimed();
    const first = await store.list({ tenant: 'alice', pageSize: 2 });
    assert.equal(first.records[1]?.id, middle.id);
    await scenario.claimed();
    await store.beginStop({ id: middle.id, tenant: 'alice' }, 'deleted');
    await store.finishStop(middle);
    const second = await store.list({ tenant: 'alice', pageSize: 2, pageToken: first.nextPageToken ?? '' });
    assert.deepEqual(
      second.records.map(({ id }) => id),
      [old.id],
    );
    assert.equal(second.nextPageToken, undefined);
  });

  test(`${name}: a listing is filtered by pool, states and metadata`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const metadata = (entries: Record<string, string>) => ({ customisation: { env: {}, metadata: entries } });
    const red = await scenario.claimed(metadata({ colour: 'red', size: '1' }));
    const blue = await scenario.claimed(metadata({ colour: 'blue', size: '1' }));
    await store.beginStop({ id: blue.id, tenant: 'alice' }, 'deleted');
    const ids = async (filter: Partial<ListQuery>) =>
      (await store.list({ tenant: 'alice', pageSize: 10, ...filter })).records.map(({ id }) => id);
    assert.deepEqual(await ids({ pool: 'base' }), [blue.id, red.id]);
    assert.deepEqual(await ids({ pool: 'other' }), []);
    assert.deepEqual(await ids({ states: ['stopping'] }), [blue.id]);
    assert.deepEqual(await ids({ states: ['running', 'stopping'] }), [blue.id, red.id]);
    assert.deepEqual(await ids({ states: [] }), [blue.id, red.id]);
    assert.deepEqual(await ids({ metadata: { colour: 'red' } }), [red.id]);
    assert.deepEqual(await ids({ metadata: { size: '1' } }), [blue.id, red.id]);
    assert.deepEqual(await ids({ metadata: { colour: 'red', size: '2' } }), []);
    assert.deepEqual(await ids({ metadata: { toString: '' } }), []);
  });

  test(`${name}: a page token that we never made is refused by its name`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    for (const pageToken of [
      'x',
      'not a token',
      Buffer.alloc(40, 'a').toString('base64url'),
      '\u0000',
      'a'.repeat(9_999),
    ]) {
      await assert.rejects(
        scenario.store.list({ tenant: 'alice', pageSize: 10, pageToken }),
        (error) =>
          isWarmpoolError(error) &&
          error.code === 'INVALID_REQUEST' &&
          error.details.violations?.[0]?.field === 'page_token',
      );
    }
  });
}

async function allPages(store: PoolStore, query: ListQuery): Promise<string[]> {
  const ids: string[] = [];
  for (let pageToken: string | undefined; ; ) {
    const page = await store.list({ ...query, ...(pageToken === undefined ? {} : { pageToken }) });
    assert.ok(page.records.length <= query.pageSize);
    ids.push(...page.records.map(({ id }) => id));
    pageToken = page.nextPageToken;
    if (pageToken === undefined) return ids;
  }
}

function poolsOfDifferentShards(count: number): string[] {
  const byShard = new Map<number, string>();
  for (let number = 0; byShard.size < count; number += 1)
    byShard.set(shardOfPool(`pool-${number}`), `pool-${number}`);
  return [...byShard.values()];
}
