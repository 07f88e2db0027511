import { WarmpoolError } from '../../domain/errors.ts';
import type { OnMiss, PoolSize } from '../../domain/pool-spec.ts';
import type { PoolSnapshot } from '../pool-store.ts';
import { scriptStatus } from './script-status.ts';

export type PoolAnswer = readonly [
  status: number,
  fields: readonly string[],
  ready: number,
  starting: number,
  live: number,
];

/** Field order is fixed, so that equal sizes are equal texts. */
export function formatSize(size: PoolSize): string {
  const { minReady, maxReady, maxTotal, startsInFlightMax, maxIdleAgeMs, onMiss } = size;
  return JSON.stringify({ minReady, maxReady, maxTotal, startsInFlightMax, maxIdleAgeMs, onMiss });
}

export function parsePool(name: string, answer: PoolAnswer): PoolSnapshot | null {
  const [status, flat, ready, starting, live] = answer;
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

  const size: PoolSize = {
    minReady: number('minReady'),
    maxReady: number('maxReady'),
    maxTotal: number('maxTotal'),
    startsInFlightMax: number('startsInFlightMax'),
    maxIdleAgeMs: number('maxIdleAgeMs'),
    onMiss: parseOnMiss(name, text('onMiss')),
  };
  return {
    name,
    specVersion: text('spec'),
    size,
    target: Math.min(size.minReady, size.maxReady),
    ready,
    starting,
    live,
    counters: {
      hits: counter('hits'),
      missesEmpty: counter('missesEmpty'),
      missesUncacheable: counter('missesUncacheable'),
      startsWarm: counter('startsWarm'),
      startsCold: counter('startsCold'),
      startsFailed: counter('startsFailed'),
    },
  };
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
