import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { drawNamesFrom } from '../../src/domain/ids.ts';
import { PoolCatalog } from '../../src/domain/pool-catalog.ts';
import { specVersionOf } from '../../src/domain/spec-version.ts';
import type { BindJournal } from '../../src/node/bind-journal.ts';
import type { PoolStore } from '../../src/store/pool-store.ts';
import { poolSpec } from '../support/core.ts';
import { AmbientWorld } from './ambient.ts';
import { Checker } from './checker.ts';
import { Host } from './host.ts';
import { ServiceProcess } from './service-process.ts';
import { StoreServer } from './store-server.ts';
import { Tenant } from './tenant.ts';
import { type StoreFault, storeFaults, Weather } from './weather.ts';
import { type Violation, World } from './world.ts';

/**
 * The whole control plane in one process, in virtual time, with everything that can go wrong decided by one seed: real
 * allocators, nodes, reapers and journals over the reference store, behind wires that lose and delay; hosts, guests and
 * clients are made up. After every step a checker holds what it saw against the invariants.
 */
export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  const { seed, eventsMax } = options;
  const world = new World({ seed, ...(options.onLine && { onLine: options.onLine }) });
  const folder = mkdtempSync(join(tmpdir(), 'wp-sim-'));
  using ambient = new AmbientWorld(world);
  drawNamesFrom((count) => world.chance.bytes(count));
  const startedMs = ambient.realNowMs();
  try {
    await world.run(live(world, folder, eventsMax, options.mutation ?? {}));
  } finally {
    drawNamesFrom();
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    seed,
    eventCount: world.eventCount,
    virtualMs: world.nowMs,
    tookMs: ambient.realNowMs() - startedMs,
    hash: world.trace.hash(),
    violation: world.violation,
    counted: counters.get(world) ?? {},
    ambientUses: ambient.uses,
    last: (count) => world.trace.last(count),
  };
}

const counters = new WeakMap<World, Readonly<Record<string, number>>>();

async function live(world: World, folder: string, eventsMax: number, mutation: Mutation): Promise<void> {
  const { chance } = world;
  const mutatedStore = mutation.server ?? ((store) => store);
  const server: StoreServer = new StoreServer(world, { mutated: mutatedStore });
  const checker = new Checker(world, () => server.store);
  counters.set(world, checker.counted);
  const services: ServiceProcess[] = [];
  const hosts: Host[] = [];
  const storeFault = mutation.storeFault ?? chance.pick(storeFaults);
  const weather: Weather = new Weather({ world, checker, server, services, hosts, storeFault });
  const specs = pools();
  const catalog = new PoolCatalog(specs.map((spec) => ({ spec, specVersion: specVersionOf(spec.template) })));
  const deps = {
    ...{ world, server, checker, catalog },
    network: weather,
    journalPathOf: (name: string) => join(folder, `${name}.journal`),
    mutatedStore: mutation.wire ?? ((store: PoolStore) => store),
    mutatedJournal: mutation.journal ?? ((journal: BindJournal) => journal),
  };
  for (const [index, survivesNode] of [true, true, false].entries()) {
    const options = { survivesNode, nextBoot: () => weather.nextBoot(), observer: checker };
    const host = new Host(world, `node-${index}`, options);
    hosts.push(host);
    services.push(new ServiceProcess(deps, { name: host.name, host }));
  }
  for (const name of ['alloc-a', 'alloc-b']) services.push(new ServiceProcess(deps, { name, host: null }));
  for (const service of services) service.start();

  let isOver = false;
  const poolNames = specs.map(({ name }) => name);
  const clients = Array.from({ length: clientCount }, (_, client) => {
    const name = `tenant-${client % tenantCount}`;
    const shared = { world, checker, network: weather, services, pools: poolNames };
    return new Tenant(shared, { name, client }, () => {
      const others = [...checker.ledger.all()].filter(({ claim }) => claim !== null && claim.tenant !== name);
      return others.length === 0 ? null : chance.pick(others).id;
    });
  });
  const living = clients.map((client) => client.live(() => isOver));
  const storming = weather.run();
  const hostNames = hosts.map(({ name }) => name);
  while (world.eventCount < eventsMax && !world.violation) {
    await world.wait(1_000);
    await checker.sweep(hostNames, poolNames);
  }

  // No more faults, and nobody who would use anything: what is left after a while is what was forgotten.
  isOver = true;
  weather.end();
  await storming;
  server.isAway = false;
  for (const host of hosts) host.isEngineAway = false;
  // Some processes are still to be started again.
  await world.wait(31_000);
  for (const service of services) {
    service.goOn();
    service.start();
  }
  await Promise.all(living);
  checker.faultAtMs = world.nowMs;
  const beganMs = world.nowMs;
  for (;;) {
    await world.wait(1_000);
    await checker.sweep(hostNames, poolNames);
    const objects = new Map(hosts.map((host) => [host.name, new Set(host.objects.keys())]));
    const [leftover] = await checker.leftovers(objects, poolNames);
    const quietMs = world.nowMs - beganMs;
    if (world.violation || (!leftover && quietMs >= quietMsMin)) return;
    const orphansMs = checker.counted.storeLosses > 0 ? orphansMsMax : quietMsMax;
    const patienceMs = orphansMs + checker.jumpedBackMs;
    if (leftover && quietMs > patienceMs)
      return world.fail(leftover.rule, `${leftover.sentence}, in the end`);
  }
}

function pools() {
  const size = {
    ...{ minReady: 2, maxReady: 6, maxTotal: 24, startsInFlightMax: 4, maxIdleAgeMs: 25_000 },
    ...{ targetHitRatio: 0.9, scaleToZeroAfterMs: 20_000 },
  };
  return [
    poolSpec({ name: 'small', size }),
    poolSpec({ name: 'large', size: { ...size, minReady: 4, maxReady: 10, maxTotal: 40, onMiss: 'fail' } }),
  ];
}

export interface SimulationOptions {
  readonly seed: number;
  /** After so many the faults end, and the quiet begins in which everything has to be put in order. */
  readonly eventsMax: number;
  /** Told every line of the trace. */
  readonly onLine?: (line: string) => void;
  readonly mutation?: Mutation;
}

/** A guard of the product taken out, by a wrapper around the part that has it. */
export interface Mutation {
  readonly server?: (store: PoolStore) => PoolStore;
  readonly wire?: (store: PoolStore) => PoolStore;
  readonly journal?: (journal: BindJournal) => BindJournal;
  readonly storeFault?: StoreFault;
}

export interface SimulationReport {
  readonly seed: number;
  readonly eventCount: number;
  readonly virtualMs: number;
  readonly tookMs: number;
  /** Equal for equal runs. */
  readonly hash: string;
  readonly violation: Violation | null;
  readonly counted: Readonly<Record<string, number>>;
  /** Where code under test asked for real time or chance. */
  readonly ambientUses: readonly string[];
  last(count: number): readonly string[];
}

const clientCount = 30;
/** Several clients of a tenant wait for the same pool at the same time. */
const tenantCount = 10;
/** Long enough for something to go wrong without any fault. */
const quietMsMin = 15_000;
/** The longest lease, and then the thirty seconds of I6. */
const quietMsMax = 60_000;
/** What a store has forgotten is killed on evidence only, and no more than five of it in a minute. */
const orphansMsMax = 420_000;

/** What to read first, and how to see it again. */
export function describeFailure(report: SimulationReport, lines: number, eventsMax: number): string {
  const { seed, violation } = report;
  if (!violation) return `seed ${seed} found nothing`;
  return [
    ...report.last(lines),
    `seed ${seed}: ${violation.rule} is broken at ${Math.round(violation.atMs) / 1_000} s: ${violation.sentence}`,
    `again: npm run sim -- --seed ${seed} --events ${eventsMax} --trace`,
  ].join('\n');
}
