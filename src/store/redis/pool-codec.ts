import { WarmpoolError } from '../../domain/errors.ts';
import { firstEstimate } from '../../domain/load-estimate.ts';
import type { OnMiss, PoolSize } from '../../domain/pool-spec.ts';
import { type Demand, targetOf } from '../../domain/sizing.ts';
import { loadCountersOf, type PoolCounters, type PoolDeclaration, type PoolSnapshot } from '../pool-store.ts';
import { scriptStatus } from './script-status.ts';

export type PoolAnswer = readonly [
  status: number,
  fields: readonly string[],
  ready: number,
  starting: number,
  live: number,
  nowMs: number,
  waiting: number,
];

/** Empty: as it was declared before. */
export function formatReserved(reserved: PoolDeclaration['reserved']): string {
  if (reserved === undefined) return '';
  return JSON.stringify(Object.fromEntries(Object.entries(reserved).filter(([, count]) => count > 0)));
}

/** Field order is fixed, so that equal sizes are equal texts. */
export function formatSize(size: PoolSize): string {
  const { minReady, maxReady, maxTotal, startsInFlightMax, maxIdleAgeMs, onMiss } = size;
  const { targetHitRatio, burst, scaleToZeroAfterMs } = size;
  return JSON.stringify({
    minReady,
    maxReady,
    maxTotal,
    startsInFlightMax,
    maxIdleAgeMs,
    onMiss,
    targetHitRatio,
    burst,
    scaleToZeroAfterMs,
  });
}

export function parsePool(name: string, answer: PoolAnswer): PoolSnapshot | null {
  const [status, flat, ready, starting, live, nowMs, waiting] = answer;
  if (status === scriptStatus.NO_POOL) return null;
  const fields = new Map<string, string>();
  for (let index = 0; index + 1 < flat.length; index += 2)
    fields.set(flat[index] ?? '', flat[index + 1] ?? '');

  const text = (field: string): string => {
    const value = fields.get(field);
    if (value === undefined) throw damagedPool(name, field);
    return value;
  };
  const number = (field: string): number => {
    const value = Number(text(field));
    if (!Number.isSafeInteger(value)) throw damagedPool(name, field);
    return value;
  };
  const counter = (field: string): number => (fields.has(field) ? number(field) : 0);

  /** Of a pool that an older process declared: it knew nothing of these, and the pool stays at its minimum. */
  const newer = (field: string): number => {
    const value = Number(fields.get(field) ?? 0);
    if (!Number.isFinite(value) || value < 0) throw damagedPool(name, field);
    return value;
  };

  const size: PoolSize = {
    minReady: number('minReady'),
    maxReady: number('maxReady'),
    maxTotal: number('maxTotal'),
    startsInFlightMax: number('startsInFlightMax'),
    maxIdleAgeMs: number('maxIdleAgeMs'),
    onMiss: parseOnMiss(name, text('onMiss')),
    targetHitRatio: newer('targetHitRatio'),
    burst: newer('burst'),
    scaleToZeroAfterMs: newer('scaleToZeroAfterMs'),
  };
  const counters: PoolCounters = {
    hits: counter('hits'),
    missesEmpty: counter('missesEmpty'),
    missesUncacheable: counter('missesUncacheable'),
    missesOverLimit: counter('missesOverLimit'),
    startsWarm: counter('startsWarm'),
    startsCold: counter('startsCold'),
    startsFailed: counter('startsFailed'),
    boots: counter('boots'),
    bootMs: counter('bootMs'),
  };
  const wanted = counter('wanted');
  const demandIfLost = (): Demand => {
    const lookedAtMs = number('lookedAt');
    return { load: firstEstimate(loadCountersOf(counters), lookedAtMs), wanted, wantedAtMs: lookedAtMs };
  };
  return {
    name,
    specVersion: text('spec'),
    size,
    target: targetOf(size, wanted),
    demand: fields.has('lookedAt') ? parseDemand(fields.get('demand') ?? '', demandIfLost) : null,
    ready,
    starting,
    live,
    waiting,
    counters,
    readAtMs: nowMs,
  };
}

/** What another version wrote, or nobody, costs the averages and no more: they are found anew. */
function parseDemand(text: string, ifLost: () => Demand): Demand {
  try {
    const demand: unknown = JSON.parse(text);
    if (isDemand(demand)) return demand;
  } catch {}
  return ifLost();
}

function isDemand(value: unknown): value is Demand {
  if (!isRecord(value) || !hasNumbers(value, ['wanted', 'wantedAtMs']) || !isRecord(value.load)) return false;
  const { load } = value;
  return (
    hasNumbers(load, ['sampledAtMs', 'beganAtMs']) &&
    (load.claimedAtMs === null || Number.isFinite(load.claimedAtMs)) &&
    hasNumbers(load.counted, ['claims', 'boots', 'bootMs']) &&
    hasNumbers(load.claimsPerSecond, ['stable', 'panic']) &&
    (load.bootMs === null || hasNumbers(load.bootMs, ['stable', 'panic']))
  );
}

function hasNumbers(value: unknown, names: readonly string[]): boolean {
  return isRecord(value) && names.every((name) => Number.isFinite(value[name]));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function parseOnMiss(name: string, text: string): OnMiss {
  if (text !== 'cold' && text !== 'wait' && text !== 'fail') throw damagedPool(name, 'onMiss');
  return text;
}

function damagedPool(name: string, field: string): WarmpoolError {
  return new WarmpoolError('INTERNAL', `the stored pool ${name} is damaged (${field})`, {
    facts: { pool: name, field },
  });
}
