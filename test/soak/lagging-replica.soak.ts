import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { shardOfPool, shardTag } from '../../src/domain/ids.ts';
import type { PoolStore } from '../../src/store/pool-store.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { alice, bob, never, plain, poolSpec, startCore } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { overriding } from '../support/overriding.ts';
import { type Given, PersistentClients } from '../support/persistent-client.ts';
import { type ClusterNode, RedisCluster } from '../support/redis-cluster.ts';
import { requirement } from '../support/requirements.ts';
import { until } from '../support/until.ts';

/**
 * T11: `WARMPOOL_TEST_ROUNDS` (20) times a master of a cluster (3 + 3) dies while its replica lags behind, so that the
 * claims it answered last are lost with it. Whoever uses a sandbox keeps it, nobody else ever gets to use it, and whoever
 * was given one that is somebody's gets another for the same request.
 */

const rounds = Number(process.env.WARMPOOL_TEST_ROUNDS ?? 20);
const { skip } = await requirement('redis');
const pool = 'base';
const readyCount = 12;
const tag = shardTag(shardOfPool(pool));

test(`T11 R3 I1 D7 a replica that lags takes over ${rounds} times: no sandbox is used by two claims`, {
  skip,
}, async (context) => {
  await using cluster = await RedisCluster.start({ replicas: 1, nodeTimeoutMs: 2_000 });
  await using store = new RedisPoolStore({ clock: new SystemClock(), warn: () => {} }, { url: cluster.url });
  const size = { minReady: readyCount, maxReady: readyCount, maxTotal: 200, startsInFlightMax: readyCount };
  const runtime = new FakeRuntime({ survivesNode: true });
  const looks = new Gate();
  const held = overriding<PoolStore>(store, {
    inventory: (nodeId) => looks.passed().then(() => store.inventory(nodeId)),
  });
  await using core = await startCore({ store: held, runtime, pools: [poolSpec({ name: pool, size })] });
  using _looks = looks;
  const clients = new PersistentClients(core);
  const awayMs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await core.until(pool, ({ ready, live }) => ready === readyCount && live === readyCount);
    await cluster.settled();
    awayMs.push(await loseMaster({ cluster, core, clients, looks }, round));
  }
  const conflicts = /^warmpool_claim_conflicts_total (\d+)$/m.exec(await core.observer.expose())?.[1];
  context.diagnostic(
    `${rounds} failovers: claims answered again after ${awayMs.map(Math.round).join(', ')} ms; ${clients.refusals} refusals, ${conflicts} conflicts counted`,
  );
  assert.ok(Number(conflicts) > 0, 'some claims were lost, and their sandboxes given out again');
});

interface World {
  readonly cluster: RedisCluster;
  readonly core: Awaited<ReturnType<typeof startCore>>;
  readonly clients: PersistentClients;
  readonly looks: Gate;
}

/** The node looks at its records every five seconds: held up, all that others do falls between two looks. */
class Gate implements Disposable {
  #opened: Promise<void> = Promise.resolve();
  #open: () => void = () => {};

  passed(): Promise<void> {
    return this.#opened;
  }

  close(): void {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  [Symbol.dispose](): void {
    this.#open();
  }
}

/** Returns for how long no claim was answered. */
async function loseMaster({ cluster, core, clients, looks }: World, round: number): Promise<number> {
  const master = await cluster.masterOf(`wp:${tag}:`);
  const replica = await linkedReplicaOf(cluster, master);
  replica.server.pause();
  await fillWayTo(replica, master);
  // From here on only the master knows what it answers.
  const early = await Promise.all(
    Array.from({ length: readyCount / 2 }, (_, index) =>
      clients.create(...requestOf(round, `early-${index}`)),
    ),
  );
  const [used, unused] = [early.slice(0, early.length / 2), early.slice(early.length / 2)];
  for (const each of used) assert.ok(await clients.tryUse(each), 'it is used before the master dies');

  looks.close();
  const killedMs = performance.now();
  await master.server.kill();
  replica.server.resume();
  // As many as the new master believes to be ready, among them those that were given out already.
  let answeredMs = Number.POSITIVE_INFINITY;
  const late = await Promise.all(
    Array.from({ length: readyCount }, async (_, index) => {
      const given = await clients.create(...requestOf(round, `late-${index}`));
      answeredMs = Math.min(answeredMs, performance.now());
      return given;
    }),
  );
  // Whoever was first goes on, whatever the new master says, and whether or not somebody else has tried before.
  const owners = async () => {
    for (const each of used) assert.ok(await clients.tryUse(each), 'the owner keeps it');
  };
  if (round % 2 === 1) await owners();
  const others = await Promise.all([...late, ...unused].map((each) => clients.use(each)));
  await owners();
  looks[Symbol.dispose]();
  const all: Given[] = [...used, ...others];
  assert.deepEqual(clients.doubles, []);
  assert.equal(new Set(all.map(({ record }) => record.id)).size, all.length, 'each has one of its own');
  for (const { record } of all) {
    await until(
      async () => (await core.store.get(record.id, null))?.claim?.claimId === record.claim?.claimId,
      'the store to say whose it is',
    );
    assert.ok(core.runtime.objects.get(record.id)?.running, 'it lives');
  }
  for (const { principal, record } of all) await core.allocator.deleteSandbox(principal, record.id, never);
  await master.server.restart();
  return answeredMs - killedMs;
}

/** The one that it sends everything to: after a failover that is the master before, once it has heard of that. */
async function linkedReplicaOf(cluster: RedisCluster, master: ClusterNode): Promise<ClusterNode> {
  let found: ClusterNode | undefined;
  await until(async () => {
    [found] = await cluster.replicasOf(master);
    const replication = await master.server.admin.info('replication');
    return found !== undefined && /^slave0:.*state=online/m.test(replication);
  }, 'the master to have a replica');
  assert.ok(found);
  return found;
}

/** What a tenant asks for: with eight kilobytes in it, so that replicating it takes something. */
function requestOf(round: number, name: string): Parameters<PersistentClients['create']> {
  const env = { FILLER: 'x'.repeat(8_192) };
  return [
    name.endsWith('1') || name.endsWith('2') ? bob : alice,
    { ...plain, env, requestId: `${round}-${name}` },
  ];
}

/** Until what is sent to the stopped replica waits in the master's own memory: what comes behind dies with the master. */
async function fillWayTo(replica: ClusterNode, { server }: ClusterNode): Promise<void> {
  const filler = 'x'.repeat(262_144);
  await until(async () => {
    await server.admin.set(`${tag}filler`, filler);
    const clients = String(await server.admin.call('CLIENT', 'LIST', 'TYPE', 'replica'));
    const waiting = Number(/ omem=(\d+)/.exec(clients)?.[1] ?? 0);
    return waiting > 8 * filler.length;
  }, `the way to the replica ${replica.id} to be full`);
  await server.admin.del(`${tag}filler`);
}
