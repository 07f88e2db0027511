import assert from 'node:assert/strict';
import { newSandboxId, shardOfPool } from '../../src/domain/ids.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import type { PoolStore, StoreEvent } from '../../src/store/pool-store.ts';
import { roomySize } from '../support/store-scenario.ts';

/** What two stores answer and tell, in a form in which equal behaviour is equal. */

/** Points in time become "there", lengths of time become minutes. */
export function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => {
      if (key === 'lease' && entry !== undefined) return [key, comparableLease(entry)];
      if (typeof entry === 'number' && lengths.has(key)) return [key, minutes(entry)];
      if (/AtMs$/.test(key) && entry !== null) return [key, 'there'];
      // A few milliseconds of real time, and not the same ones.
      if (key === 'bootMs' && typeof entry === 'number') return [key, 'there'];
      return [key, comparable(entry)];
    }),
  );
}

const lengths: ReadonlySet<string> = new Set([
  'remainingMs',
  'heartbeatAgeMs',
  'lostForMs',
  'forMs',
  'endsInMs',
]);

function comparableLease(lease: NonNullable<SandboxRecord['lease']>): unknown {
  const { expiresAtMs, remainingMs, ttlMs, endOfLifeMs, onExpiry } = lease;
  return { remaining: minutes(remainingMs), ttlMs, rest: minutes(endOfLifeMs - expiresAtMs), onExpiry };
}

function minutes(lengthMs: number): number {
  return Math.round(lengthMs / 60_000);
}

/** What a store tells from now on; `end` waits for all of it. */
export async function follow(store: PoolStore): Promise<{ end(): Promise<string[]> }> {
  const stop = new AbortController();
  const told: string[] = [];
  const batches = await store.follow(null, stop.signal);
  const following = (async () => {
    for await (const events of batches) told.push(...events.map(eventText));
  })();
  return {
    // The last of all is an event that ends the run: a boot in a pool of its own, in the same shard.
    end: async () => {
      await store.declarePool({
        name: 'base',
        specVersion: 'last',
        size: { ...roomySize, startsInFlightMax: 1_000 },
      });
      const id = `${newSandboxId(shardOfPool('base'))}`;
      const answer = await store.reserveStart({
        id,
        pool: 'base',
        nodeId: 'last',
        specVersion: 'last',
        bootTimeoutMs: 0,
      });
      assert.equal(answer.kind, 'reserved');
      while (!told.some((event) => event.includes(id)))
        await new Promise((resolve) => setTimeout(resolve, 1));
      stop.abort();
      await following;
      return told.filter((event) => !event.includes(id));
    },
  };
}

function eventText({ id, incarnation, tenant: owner, nodeId, from, to, reason }: StoreEvent): string {
  return JSON.stringify([id, incarnation, owner, nodeId, from, to, reason]);
}
