import type { Command } from 'commander';
import pc from 'picocolors';
import type { PoolSummary } from '../client/views.ts';
import { withClient } from './connection.ts';
import { guarded } from './failure.ts';
import { countOption, given } from './options.ts';
import { sizingJson, sizingSentence, whyCell } from './pool-sizing.ts';
import { printableJson } from './printable.ts';
import { type Column, formatTable } from './table.ts';

const json = ['--json', 'one JSON document'] as const;

export function addPoolCommands(program: Command): void {
  const pools = program.command('pools').description('show and scale the pools');
  pools
    .command('ls', { isDefault: true })
    .description('list the pools')
    .option(...json)
    .action(
      guarded(async (flags: PoolFlags, command: Command) => {
        const found = await withClient(command, (client) => client.pools());
        if (flags.json) process.stdout.write(`${printableJson(found.map(poolJson))}\n`);
        else process.stdout.write(formatTable(columns, found));
      }),
    );
  pools
    .command('get <name>')
    .description('show a pool')
    .option(...json)
    .action(
      guarded(async (name: string, flags: PoolFlags, command: Command) => {
        const pool = await withClient(command, (client) => client.pool(name));
        printPool(pool, flags);
        if (!flags.json) process.stdout.write(`\n${sizingSentence(pool)}\n`);
      }),
    );
  pools
    .command('scale <name>')
    .description('change the size of a pool, until its file changes')
    .option('--min-ready <count>', 'kept ready at least', countOption)
    .option('--max-ready <count>', 'kept ready at most', countOption)
    .option('--max-total <count>', 'live at most', countOption)
    .option(...json)
    .action(
      guarded(async (name: string, flags: PoolFlags & ScaleFlags, command: Command) => {
        const { minReady, maxReady, maxTotal } = flags;
        const size = given({ minReady, maxReady, maxTotal });
        printPool(await withClient(command, (client) => client.scalePool(name, size)), flags);
      }),
    );
}

interface PoolFlags {
  readonly json?: boolean;
}

interface ScaleFlags {
  readonly minReady?: number;
  readonly maxReady?: number;
  readonly maxTotal?: number;
}

function printPool(pool: PoolSummary, flags: PoolFlags): void {
  process.stdout.write(flags.json ? `${printableJson(poolJson(pool))}\n` : formatTable(columns, [pool]));
}

/** The field names are those of the contract, and stay. */
function poolJson(pool: PoolSummary): object {
  const { counters } = pool;
  return {
    name: pool.name,
    runtime: pool.runtime,
    spec_version: pool.specVersion,
    size: {
      min_ready: pool.minReady,
      max_ready: pool.maxReady,
      max_total: pool.maxTotal,
      starts_in_flight_max: pool.startsInFlightMax,
      max_idle_age_ms: pool.maxIdleAgeMs,
      on_miss: pool.onMiss,
      target_hit_ratio: pool.targetHitRatio,
      burst: pool.burst,
      scale_to_zero_after_ms: pool.scaleToZeroAfterMs,
    },
    target: pool.target,
    ready: pool.ready,
    starting: pool.starting,
    live: pool.live,
    waiting: pool.waiting,
    counters: {
      hits: counters.hits,
      misses_empty: counters.missesEmpty,
      misses_uncacheable: counters.missesUncacheable,
      misses_over_limit: counters.missesOverLimit,
      starts_warm: counters.startsWarm,
      starts_cold: counters.startsCold,
      starts_failed: counters.startsFailed,
      boots: counters.boots,
      boot_ms: counters.bootMs,
    },
    note: pool.note,
    sizing: sizingJson(pool),
  };
}

const columns: readonly Column<PoolSummary>[] = [
  { title: 'NAME', cell: (pool) => pool.name },
  { title: 'RUNTIME', cell: (pool) => pool.runtime },
  { title: 'READY', cell: readyCell, paint: paintReady },
  { title: 'STARTING', cell: (pool) => String(pool.starting) },
  { title: 'LIVE', cell: (pool) => `${pool.live}/${pool.maxTotal}` },
  { title: 'HITS', cell: (pool) => String(pool.counters.hits) },
  { title: 'MISSES', cell: missesCell },
  { title: 'WAITING', cell: (pool) => String(pool.waiting) },
  { title: 'LOAD', cell: (pool) => pool.sizing.offeredLoad.toFixed(1) },
  { title: 'WHY', cell: whyCell },
  { title: 'NOTE', cell: (pool) => pool.note },
];

/** Those of a tenant at its limit say nothing of the pool; `--json` has every cause. */
function missesCell({ counters }: PoolSummary): string {
  return String(counters.missesEmpty + counters.missesUncacheable);
}

function readyCell(pool: PoolSummary): string {
  return `${pool.ready}/${pool.target}`;
}

function paintReady(cell: string, pool: PoolSummary): string {
  return pool.ready >= pool.target ? pc.green(cell) : pc.yellow(cell);
}
