import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ClosingStack } from '../../src/closing-stack.ts';
import { SystemClock } from '../../src/domain/clock.ts';
import { newSandboxId, shardOfPool } from '../../src/domain/ids.ts';
import { firstEstimate } from '../../src/domain/load-estimate.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import { demandOf } from '../../src/domain/sizing.ts';
import { specVersionOf } from '../../src/domain/spec-version.ts';
import { packageRoot } from '../../src/package-root.ts';
import type { NodeStatus } from '../../src/store/pool-store.ts';
import { shardKeys } from '../../src/store/redis/keys.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { RedisServer } from '../../test/support/redis-server.ts';
import { forEachInFlight } from '../measure/throughput.ts';
import { describeMachine, machineSentence } from '../report/machine.ts';
import { claimRequest } from '../subjects/claim-at-scale.ts';
import { PrefilledPool, prefilledSpec } from '../subjects/prefilled-pool.ts';

/**
 * What each verb costs a real Redis, at the numbers of docs/scale.md: the server's own count of the time it spent in it
 * (`INFO commandstats`), the bytes it sent, and how long the caller took, one call at a time.
 *
 *   node --import tsx bench/scale/store-costs.ts [--sandboxes 100000] [--nodes 1000]
 */
export interface StoreCosts {
  readonly madeAt: string;
  readonly machine: string;
  readonly sandboxes: number;
  readonly nodes: number;
  readonly verbs: Readonly<Record<string, VerbCost>>;
}

export interface VerbCost {
  /** Microseconds of the server's one thread, without reading the request and sending the answer. */
  readonly serverUs: number;
  /** What the server sent for it. */
  readonly answerBytes: number;
  /** Microseconds of the process that asked, from the call to the parsed answer, with nothing else to do. */
  readonly roundTripUs: number;
}

export const storeCostsPath = join(packageRoot(), 'bench/scale/store-costs.json');

async function measure(sandboxes: number, nodes: number): Promise<StoreCosts> {
  const started = new ClosingStack();
  try {
    const machine = machineSentence(await describeMachine());
    const server = started.use(await RedisServer.start());
    const deps = { clock: new SystemClock(), warn() {} };
    const store = started.use(new RedisPoolStore(deps, { url: server.url }));
    await store.open();
    const measured = new MeasuredStore(store, server, { sandboxes, nodes });
    await measured.fill();
    await measured.measureClaims();
    await measured.measurePolls();
    await measured.measureEvents();
    return { madeAt: new Date().toISOString(), machine, sandboxes, nodes, verbs: measured.verbs };
  } finally {
    await started[Symbol.asyncDispose]();
  }
}

/** A store with as much in it as docs/scale.md speaks of. */
class MeasuredStore {
  readonly verbs: Record<string, VerbCost> = {};
  readonly #store: RedisPoolStore;
  readonly #server: RedisServer;
  readonly #pool: PrefilledPool;
  readonly #size: { readonly sandboxes: number; readonly nodes: number };

  constructor(store: RedisPoolStore, server: RedisServer, size: { sandboxes: number; nodes: number }) {
    this.#store = store;
    this.#server = server;
    this.#size = size;
    this.#pool = new PrefilledPool(store);
  }

  async fill(): Promise<void> {
    const { sandboxes, nodes } = this.#size;
    console.error(`filling a store with ${sandboxes} sandboxes and ${nodes} nodes`);
    await this.#pool.declare();
    await forEachInFlight(sandboxes, 64, () => this.#pool.addReady());
    await forEachInFlight(sandboxes - readyLeft, 64, () => this.#store.claim(claimRequest()));
    await forEachInFlight(sandboxesPerNode, 64, () => this.#addOn(smallNode));
    await forEachInFlight(1_000, 64, () => this.#addOn(largeNode));
    for (let index = 0; index < nodes; index += 1) await this.#store.heartbeat(nodeStatus(index));
  }

  async measureClaims(): Promise<void> {
    const store = this.#store;
    const claimed: SandboxRecord[] = [];
    await this.#cost('claim', async () => {
      const answer = await store.claim(claimRequest());
      if (answer.kind !== 'claimed') throw new Error(`a claim was answered with ${answer.kind}`);
      claimed.push(answer.record);
    });
    const one = (run: number) => claimed[run % claimed.length]?.id ?? '';
    await this.#cost('renew', (run) => store.renew({ id: one(run), tenant: 'default' }, null, 'extend'));
    await this.#cost('get', (run) => store.get(one(run), 'default'));
    await this.#cost('reserveStart + reportReady', () => this.#pool.addReady());
    await this.#cost('beginStop + finishStop', async () => {
      const record = claimed.pop();
      if (record) await this.#pool.end(record);
    });
  }

  async measurePolls(): Promise<void> {
    const store = this.#store;
    const { name, size } = prefilledSpec;
    const { nodes } = this.#size;
    await this.#cost('readPool', () => store.readPool(name));
    const demand = demandOf(size, firstEstimate({ claims: 0, boots: 0, bootMs: 0 }, 0), null);
    await this.#cost('noteDemand', () => store.noteDemand(name, null, demand));
    await this.#cost('heartbeat', (run) => store.heartbeat(nodeStatus(run % nodes)));
    await this.#cost('nodes', () => store.nodes(), 100);
    await this.#cost('due', () => store.due(100));
    await this.#cost(`inventory of ${sandboxesPerNode}`, () => store.inventory(smallNode), 200);
    await this.#cost('inventory of 1000', () => store.inventory(largeNode), 50);
  }

  /** One follower reading what one claim, its boot and its end write. */
  async measureEvents(): Promise<void> {
    const { events } = shardKeys(shardOfPool(prefilledSpec.name));
    await this.#cost('one event to one follower, read by itself', () =>
      this.#server.admin.xread('COUNT', 1, 'STREAMS', events, '0-0'),
    );
    await this.#cost('64 events to one follower', () =>
      this.#server.admin.xread('COUNT', 64, 'STREAMS', events, '0-0'),
    );
  }

  async #cost(name: string, work: (run: number) => Promise<unknown>, runs = 1_000): Promise<void> {
    for (let run = 0; run < Math.min(20, runs); run += 1) await work(run);
    const before = await this.#stats();
    const startedMs = performance.now();
    for (let run = 0; run < runs; run += 1) await work(run);
    const tookMs = performance.now() - startedMs;
    const after = await this.#stats();
    const cost = {
      serverUs: rounded((after.usedUs - before.usedUs) / runs),
      answerBytes: Math.round((after.sentBytes - before.sentBytes - before.ownBytes) / runs),
      roundTripUs: rounded((tookMs * 1_000) / runs),
    };
    this.verbs[name] = cost;
    console.error(name, cost);
  }

  async #stats() {
    const info = await this.#server.admin.info('all');
    const perCommand = /^cmdstat_(?:evalsha|evalsha_ro|xread):calls=\d+,usec=(\d+)/gm;
    const usedUs = [...info.matchAll(perCommand)].reduce((sum, [, us]) => sum + Number(us), 0);
    const sentBytes = Number(/total_net_output_bytes:(\d+)/.exec(info)?.[1] ?? 0);
    return { usedUs, sentBytes, ownBytes: info.length };
  }

  async #addOn(nodeId: string): Promise<void> {
    const { name, template } = prefilledSpec;
    const answer = await this.#store.reserveStart({
      id: newSandboxId(shardOfPool(name)),
      pool: name,
      nodeId,
      specVersion: specVersionOf(template),
      bootTimeoutMs: template.bootTimeoutMs,
    });
    if (answer.kind !== 'reserved') throw new Error(`the pool takes no more: ${answer.why}`);
  }
}

function nodeStatus(index: number): NodeStatus {
  return {
    nodeId: `node-${String(index).padStart(4, '0')}.example.internal`,
    runtimes: ['docker'],
    pools: Array.from({ length: poolCount }, (_, pool) => `template-${pool}`),
    draining: false,
    obeys: null,
    sandboxes: sandboxesPerNode,
    capacity: 2 * sandboxesPerNode,
    dataUrl: `wss://node-${index}.example.com/data`,
  };
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

const smallNode = 'bench-node-of-few';
const largeNode = 'bench-node-of-many';
const sandboxesPerNode = 100;
const poolCount = 20;
/** Enough for the claims that are measured. */
const readyLeft = 2_000;

const { values } = parseArgs({
  options: {
    sandboxes: { type: 'string', default: '100000' },
    nodes: { type: 'string', default: '1000' },
  },
});
const costs = await measure(Number(values.sandboxes), Number(values.nodes));
writeFileSync(storeCostsPath, `${JSON.stringify(costs, null, 2)}\n`);
