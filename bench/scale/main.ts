import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.ts';
import { type SimulatedPool, simulatePool } from './hit-ratio.ts';
import {
  asked,
  breaksAt,
  claimsPerSecond,
  type FleetShape,
  fleetHitRatio,
  type Part,
  partsOf,
  poolsOf,
  withNodes,
} from './model.ts';
import { type Plot, svgOf } from './plot.ts';
import type { StoreCosts } from './store-costs.ts';

/**
 * `npm run scale`: computes the figures of docs/scale.md, writes its tables into it, and draws its plots beside it. The same
 * every time, but for the costs, which `bench/scale/store-costs.ts` measures on the machine it runs on.
 */
const folder = join(packageRoot(), 'docs/scale');
const page = join(packageRoot(), 'docs/scale.md');
const costs = JSON.parse(
  readFileSync(join(packageRoot(), 'bench/scale/store-costs.json'), 'utf8'),
) as StoreCosts;

async function main(): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const simulated: SimulatedPool[] = [];
  for (const rate of simulatedRates) {
    const load = {
      claimsPerSecond: rate,
      bootSeconds: asked.bootSeconds,
      targetHitRatio: asked.targetHitRatio,
    };
    simulated.push(await simulatePool(load));
    console.error(simulated.at(-1));
  }
  drawPlots(simulated);
  let text = readFileSync(page, 'utf8');
  for (const [name, table] of Object.entries(tables(simulated))) {
    const section = new RegExp(`(<!-- table: ${name} -->\\n)[\\s\\S]*?(<!-- end -->)`);
    if (!section.test(text)) throw new Error(`docs/scale.md has no place for the table ${name}`);
    text = text.replace(section, `$1\n${table}\n\n$2`);
  }
  writeFileSync(page, text);
}

function tables(simulated: readonly SimulatedPool[]): Readonly<Record<string, string>> {
  const parts = partsOf(asked, costs);
  const cells = (part: Part) => [
    part.name,
    count(part.commandsPerSecond),
    part.cores.toFixed(3),
    (part.bytesPerSecond / 1e6).toFixed(1),
    part.growth,
    part.growth === 'bounded' ? 'never' : count(breaksAt(asked, costs, ({ name }) => name === part.name)),
  ];
  const sum = (of: (part: Part) => number) => parts.reduce((total, part) => total + of(part), 0);
  const total = [
    '**all**',
    count(sum(({ commandsPerSecond }) => commandsPerSecond)),
    sum(({ cores }) => cores).toFixed(2),
    (sum(({ bytesPerSecond }) => bytesPerSecond) / 1e6).toFixed(0),
    '',
    count(breaksAt(asked, costs, () => true)),
  ];
  return {
    'store load': table(
      ['what', 'commands/s', 'threads of Redis', 'MB/s sent', 'grows', 'one thread is full at … nodes'],
      [...[...parts].sort((a, b) => b.cores - a.cores).map(cells), total],
    ),
    'unit costs': table(
      ['verb', 'server, µs', 'answer, bytes'],
      Object.entries(costs.verbs).map(([verb, { serverUs, answerBytes }]) => [
        verb,
        String(serverUs),
        String(answerBytes),
      ]),
    ),
    'pool sizes': table(
      [
        'boot',
        'target',
        'ready, all pools',
        'of them the largest',
        'hit ratio',
        'idle memory, docker',
        'bubblewrap',
      ],
      bootTimes.flatMap((bootSeconds) =>
        targets.map((target) => poolRow({ ...asked, bootSeconds, targetHitRatio: target })),
      ),
    ),
    simulated: table(
      ['claims/s', 'claims', 'target, mean', 'hit ratio, 95 % interval', 'formula at that target'],
      simulated.map((pool) => [
        pool.claimsPerSecond.toFixed(1),
        count(pool.claims),
        pool.target.toFixed(1),
        `${percent(pool.hitRatio)} ± ${percent(pool.within)}`,
        percent(fleetHitRatio(poolsOf({ ...oneLike(pool) }))),
      ]),
    ),
    machine: `Measured ${costs.madeAt.slice(0, 10)} on ${costs.machine}.`,
  };
}

function poolRow(shape: FleetShape): readonly string[] {
  const pools = poolsOf(shape);
  const ready = pools.reduce((sum, pool) => sum + pool.ready, 0);
  const gigabytes = (kilobytes: number) => `${((ready * kilobytes) / 1e6).toFixed(2)} GB`;
  return [
    `${shape.bootSeconds} s`,
    percent(shape.targetHitRatio),
    count(ready),
    count(pools[0]?.ready ?? 0),
    percent(fleetHitRatio(pools)),
    gigabytes(idleKilobytes.docker),
    gigabytes(idleKilobytes.bubblewrap),
  ];
}

/** One pool with the simulated one's load: what the formula sizes it to. */
function oneLike(pool: SimulatedPool): FleetShape {
  const sandboxes = pool.claimsPerSecond * asked.lifeSeconds;
  return { ...asked, pools: 1, sandboxes, bootSeconds: pool.bootSeconds };
}

function drawPlots(simulated: readonly SimulatedPool[]): void {
  const fleets = [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000].map((nodes) => withNodes(asked, nodes));
  const names = [...partsOf(asked, costs)]
    .sort((a, b) => b.cores - a.cores)
    .slice(0, 6)
    .map(({ name }) => name);
  draw('store-load', {
    title: 'What a fleet costs one Redis, by part',
    x: {
      ...{ label: 'nodes, 100 sandboxes on each', scale: 'log', from: 10, to: 5_000 },
      ticks: [10, 100, 1_000, 5_000],
      format: count,
    },
    y: {
      ...{ label: 'threads of Redis', scale: 'log', from: 0.001, to: 100 },
      ticks: [0.001, 0.01, 0.1, 1, 10, 100],
      format: String,
    },
    limit: { y: 1, label: 'one thread is all that a Redis has' },
    mark: { x: asked.nodes, label: '1,000 nodes' },
    lines: names.map((name) => ({
      label: name,
      points: fleets.map((shape) => [
        shape.nodes,
        partsOf(shape, costs).find((part) => part.name === name)?.cores ?? 0,
      ]),
    })),
  });
  draw('hit-ratio', {
    title: `Share of claims served warm: boots of ${asked.bootSeconds} s, target ${percent(asked.targetHitRatio)}`,
    x: {
      ...{ label: 'claims a second from one pool', scale: 'log', from: 0.5, to: 60 },
      ticks: [0.5, 1, 2, 5, 10, 20, 50],
      format: String,
    },
    y: {
      ...{ label: 'served warm', scale: 'linear', from: 0.92, to: 1 },
      ticks: [0.92, 0.94, 0.96, 0.98, 1],
      format: percent,
    },
    limit: { y: asked.targetHitRatio, label: 'what is asked for' },
    lines: [
      {
        label: 'simulated, 95 % interval',
        points: simulated.map((pool) => [pool.claimsPerSecond, pool.hitRatio]),
        within: simulated.map(({ within }) => within),
      },
      {
        label: 'formula, at the mean load',
        points: simulated.map((pool) => [pool.claimsPerSecond, fleetHitRatio(poolsOf(oneLike(pool)))]),
      },
    ],
  });
  draw('idle-cost', {
    title: 'Idle memory of all pools on Docker, by what is promised',
    x: {
      ...{ label: 'claims a second, in 20 pools', scale: 'log', from: 10, to: 2_000 },
      ticks: [10, 20, 50, 100, 200, 500, 1_000, 2_000],
      format: count,
    },
    y: { label: 'GB', scale: 'log', from: 0.1, to: 100, ticks: [0.1, 1, 10, 100], format: String },
    mark: { x: claimsPerSecond(asked), label: '100,000 sandboxes' },
    lines: bootTimes.flatMap((bootSeconds) =>
      [0.95, 0.999].map((targetHitRatio) => ({
        label: `boot ${bootSeconds} s, ${percent(targetHitRatio)} warm`,
        points: [10, 20, 50, 100, 200, 500, 1_000, 2_000].map((rate) => {
          const shape = { ...asked, bootSeconds, targetHitRatio, sandboxes: rate * asked.lifeSeconds };
          const ready = poolsOf(shape).reduce((sum, pool) => sum + pool.ready, 0);
          return [rate, (ready * idleKilobytes.docker) / 1e6] as const;
        }),
      })),
    ),
  });
}

function draw(name: string, plot: Plot): void {
  writeFileSync(join(folder, `${name}.svg`), svgOf(plot));
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, index) => (index === 0 ? '---' : '---:'));
  return [head, rule, ...rows].map(line).join('\n');
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}

/** The whole cost of an idle warm sandbox, processes and kernel: S11 of bench/README.md. */
const idleKilobytes = { docker: 3_299, bubblewrap: 411 };
const bootTimes = [0.15, 0.5, 5];
const targets = [0.95, 0.99, 0.999];
const simulatedRates = [1, 2, 5, 10, 20, 46];

await main();
