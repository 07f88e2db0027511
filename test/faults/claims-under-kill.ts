import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { loadPools } from '../../src/config/pool-files.ts';
import { pickSeed, seededRandom } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import { type PoolFile, ServiceFolder } from '../support/service.ts';
import { until } from '../support/until.ts';
import { violationsIn } from './checker.ts';
import { ClaimingClient, type ClaimingRequest } from './claiming-client.ts';
import { History } from './history.ts';
import { Inventory } from './inventory.ts';
import { ServiceFleet } from './service-fleet.ts';

export interface ClaimsSize {
  readonly allocators: number;
  readonly clients: number;
  /** Without faults. */
  readonly quietClaims: number;
  /** How often one of them is killed and another one started, with claims all the time. */
  readonly kills: number;
}

/** What the allocators serve has nothing to boot: all their claims are from the inventory. */
export const emptyPool: PoolFile = {
  name: 'base',
  template: { resources: { cpu: 1, memoryMb: 128, diskMb: 64, pids: 64 } },
  size: { minReady: 0, maxReady: 0, maxTotal: 100_000, targetHitRatio: 0, onMiss: 'fail' },
  lease: { ttl: '1h' },
};

/** T1: claims over several allocators, first in peace and then with `kill -9`; every request asked again elsewhere. */
export async function claimsUnderKill(context: TestContext, size: ClaimsSize): Promise<void> {
  const seed = pickSeed();
  const random = seededRandom(seed);
  using history = new History(context, seed);
  await using redis = await RedisServer.start({ aof: true });
  using folder = new ServiceFolder([emptyPool]);
  const [spec] = loadPools(folder.pools);
  assert.ok(spec, 'the pool file is read');
  const inventoryCount = size.quietClaims + size.kills * (claimsPerKill + size.clients) + size.clients;
  await using inventory = await Inventory.fill(redis.url, spec, inventoryCount);
  const env = { WARMPOOL_RUNTIME: 'bubblewrap', REDIS_URL: redis.url };
  await using fleet = await ServiceFleet.start(
    history,
    Array.from({ length: size.allocators }, () => 'allocator' as const),
    { pools: [emptyPool], env },
  );
  const clients = Array.from(
    { length: size.clients },
    (_, index) => new ClaimingClient(history, () => fleet.addresses, index),
  );
  using _clients = { [Symbol.dispose]: () => clients.forEach((client) => void client[Symbol.dispose]()) };
  const given = new Map<string, string>();

  const startedMs = performance.now();
  await claimBy(clients, given, (made) => made < size.quietClaims);
  context.diagnostic(
    `${given.size} claims in ${Math.round(performance.now() - startedMs)} ms without faults`,
  );
  assert.equal(given.size, size.quietClaims);

  let killed = 0;
  let over = size.kills === 0;
  // So many claims beside each kill, however fast the machine is.
  const allowed = () => given.size < size.quietClaims + (killed + 1) * claimsPerKill;
  const killing = (async () => {
    try {
      for (; killed < size.kills; killed += 1) {
        // Some claims, and then the middle of some: how long that takes is the machine's business.
        const enough = size.quietClaims + killed * claimsPerKill + 20 + Math.floor(random() * 100);
        await until(() => given.size >= enough, 'claims before the next kill');
        const index = Math.floor(random() * fleet.size);
        await fleet.kill(index);
        await fleet.replace(index);
        await until(() => !allowed(), 'the claims beside the kill');
      }
    } finally {
      over = true;
    }
  })();
  const ended = () => over;
  const claiming = claimBy(
    clients,
    given,
    () => !ended(),
    () => until(() => allowed() || ended(), 'the next kill', restartMs),
  );
  await Promise.all([killing, claiming]);
  context.diagnostic(`${given.size - size.quietClaims} claims beside ${size.kills} kills`);

  await replay(clients, fleet, given);
  const pool = await inventory.store.readPool('base');
  assert.equal(new Set(given.values()).size, given.size, 'every request has a sandbox of its own');
  assert.equal(pool?.ready, inventoryCount - given.size, 'exactly as many are gone as were answered');
  assert.equal(pool?.counters.hits, given.size);
  assert.deepEqual(await inventory.store.healIndexes(), { readded: 0, dropped: 0 });
  assert.deepEqual(violationsIn(history.lines()), []);
  history.sound();
}

/** Every client claims for as long as more is wanted, and waits before each claim as told. */
async function claimBy(
  clients: readonly ClaimingClient[],
  given: Map<string, string>,
  isWanted: (made: number) => boolean,
  turn: () => Promise<void> = async () => {},
): Promise<void> {
  let made = given.size;
  await Promise.all(
    clients.map(async (client) => {
      while (isWanted(made)) {
        made += 1;
        const request: ClaimingRequest = { requestId: `r-${made}` };
        given.set(request.requestId, await client.claim(request));
        await turn();
      }
    }),
  );
}

/** Each request once more, at an allocator that may never have seen it. */
async function replay(
  clients: readonly ClaimingClient[],
  fleet: ServiceFleet,
  given: ReadonlyMap<string, string>,
): Promise<void> {
  const requests = [...given];
  const { addresses } = fleet;
  await Promise.all(
    clients.map(async (client) => {
      for (let next = requests.pop(); next !== undefined; next = requests.pop()) {
        const [requestId, sandbox] = next;
        const address = addresses[requests.length % addresses.length] ?? '';
        assert.equal(await client.replay(address, { requestId }), sandbox);
      }
    }),
  );
}

const claimsPerKill = 150;
/** A service starts in a second on a machine that has nothing else to do. */
const restartMs = 300_000;
