import { missProbability, smallestSize } from '../../src/domain/miss-probability.ts';
import type { StoreCosts } from './store-costs.ts';

/**
 * The control plane on paper: how many store commands a fleet of a given size makes in a second, what they cost the one
 * thread of a Redis, and how large the pools are. Rates are what the code's intervals say; costs are measured
 * (store-costs.json); sizes are the product's own function. Nothing here is simulated.
 */
export interface FleetShape {
  readonly nodes: number;
  readonly allocators: number;
  readonly pools: number;
  /** Claimed at the same time. */
  readonly sandboxes: number;
  readonly lifeSeconds: number;
  /** Between two renewals of a lease. */
  readonly renewSeconds: number;
  readonly bootSeconds: number;
  readonly targetHitRatio: number;
}

/** The question of the page: 1,000 nodes and 100,000 sandboxes. */
export const asked: FleetShape = {
  nodes: 1_000,
  allocators: 8,
  pools: 20,
  sandboxes: 100_000,
  lifeSeconds: 600,
  renewSeconds: 100,
  bootSeconds: 0.5,
  targetHitRatio: 0.95,
};

/** One kind of work of the store. */
export interface Part {
  readonly name: string;
  readonly commandsPerSecond: number;
  /** Of one thread: 1 is a Redis that does nothing else. */
  readonly cores: number;
  readonly bytesPerSecond: number;
  /** How it grows with the number of nodes, at the same number of sandboxes for each. */
  readonly growth: 'bounded' | 'linear' | 'square';
}

export function claimsPerSecond({ sandboxes, lifeSeconds }: FleetShape): number {
  return sandboxes / lifeSeconds;
}

export function partsOf(shape: FleetShape, costs: StoreCosts): readonly Part[] {
  const { nodes, allocators, pools, sandboxes, renewSeconds } = shape;
  const claims = claimsPerSecond(shape);
  const processes = nodes + allocators;
  const perNode = sandboxes / nodes;
  const cost = (verb: string) => {
    const known = costs.verbs[verb];
    if (!known) throw new Error(`the cost of ${verb} was not measured`);
    return known;
  };
  const part = (name: string, growth: Part['growth'], verb: string, rate: number, share = 1): Part => ({
    name,
    growth,
    commandsPerSecond: rate,
    cores: (rate * share * cost(verb).serverUs) / 1e6,
    bytesPerSecond: rate * share * cost(verb).answerBytes,
  });
  const nodeShare = nodes / costs.nodes;
  const looksMax = nodes <= nodesWithoutRest ? nodes * readsPerSecondMax : looksPerSecondMax;
  const looksByWaking = poolRates(shape).reduce(
    (sum, rate) => sum + Math.min(nodes * wakingEvents * rate, looksMax) * readsPerLook,
    0,
  );
  const lists = Math.min(nodes, listsPerSecondMax) + 2 * allocators;
  const reads = Math.min(eventsPerLife * claims, readsPerSecondMax);
  const events = cost('64 events to one follower');
  return [
    part('claims', 'linear', 'claim', claims),
    part('boots: reserve and report', 'linear', 'reserveStart + reportReady', claims),
    part('ends: begin and finish', 'linear', 'beginStop + finishStop', claims),
    part('renewals', 'linear', 'renew', sandboxes / renewSeconds),
    part('reapers looking for what is due', 'linear', 'due', allocators),
    part('heartbeats', 'linear', 'heartbeat', nodes),
    part('inventories, every 5 s', 'linear', 'inventory of 100', nodes / 5, perNode / 100),
    part('looks at pools, every second', 'linear', 'readPool', nodes * pools * readsPerLook),
    part('looks at pools after claims and ends', 'bounded', 'readPool', looksByWaking),
    // The nodes, and each allocator every second for placing and for lost nodes.
    part('lists of all nodes', 'linear', 'nodes', lists, nodeShare),
    {
      name: 'events to every process',
      growth: 'square',
      commandsPerSecond: processes * reads,
      cores:
        (processes *
          (reads * cost('one event to one follower, read by itself').serverUs +
            (eventsPerLife * claims * events.serverUs) / 64)) /
        1e6,
      bytesPerSecond: (processes * eventsPerLife * claims * events.answerBytes) / 64,
    },
  ];
}

/** The same fleet with more or fewer nodes, each as full as before. */
export function withNodes(shape: FleetShape, nodes: number): FleetShape {
  const ratio = nodes / shape.nodes;
  const allocators = Math.max(2, Math.round(shape.allocators * ratio));
  return { ...shape, nodes, allocators, sandboxes: shape.sandboxes * ratio };
}

/** At how many nodes the parts meant take a whole thread. */
export function breaksAt(shape: FleetShape, costs: StoreCosts, isMeant: (part: Part) => boolean): number {
  const coresAt = (nodes: number) =>
    partsOf(withNodes(shape, nodes), costs)
      .filter(isMeant)
      .reduce((sum, { cores }) => sum + cores, 0);
  let [low, high] = [1, 10_000_000];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (coresAt(middle) < 1) low = middle;
    else high = middle;
  }
  return low;
}

export interface PoolOnPaper {
  readonly claimsPerSecond: number;
  /** Claims in the time of one boot. */
  readonly erlangs: number;
  readonly ready: number;
  readonly hitRatio: number;
}

/** Pools are not equally popular: the n-th has a share of 1/n of the first one's claims. */
function poolRates(shape: FleetShape): readonly number[] {
  const weights = Array.from({ length: shape.pools }, (_, index) => 1 / (index + 1));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => (claimsPerSecond(shape) * weight) / sum);
}

export function poolsOf(shape: FleetShape): readonly PoolOnPaper[] {
  return poolRates(shape).map((rate) => {
    const erlangs = rate * shape.bootSeconds;
    const ready = smallestSize('queued', erlangs, 1 - shape.targetHitRatio, readyMax);
    return { claimsPerSecond: rate, erlangs, ready, hitRatio: 1 - missProbability('queued', ready, erlangs) };
  });
}

/** Over all pools, as a claim sees it. */
export function fleetHitRatio(pools: readonly PoolOnPaper[]): number {
  const claims = pools.reduce((sum, pool) => sum + pool.claimsPerSecond, 0);
  return pools.reduce((sum, pool) => sum + pool.claimsPerSecond * pool.hitRatio, 0) / claims;
}

/** A replenisher reads its pool when it begins and before each start. */
const readsPerLook = 2;
/** Of the events of one life, those at which every node looks at the pool: running and stopping. */
const wakingEvents = 2;
/** In a larger fleet replenishers rest, so that all look at a pool this often together (src/node/replenisher.ts). */
const nodesWithoutRest = 10;
const looksPerSecondMax = 1_000;
/** The same for the nodes' looks at each other (src/node/fleet.ts). */
const listsPerSecondMax = 100;
/** starting, ready, running, stopping, stopped. */
const eventsPerLife = 5;
/** A follower rests 10 ms after a read that brought something. */
const readsPerSecondMax = 100;
const readyMax = 100_000;
