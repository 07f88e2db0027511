import { newClaimId } from '../../src/domain/ids.ts';
import type { BindJournal } from '../../src/node/bind-journal.ts';
import type { ClaimRequest, NodeFence, PoolStore } from '../../src/store/pool-store.ts';
import { overriding } from '../support/overriding.ts';
import type { Mutation } from './simulation.ts';

/**
 * Guards of the product taken out one at a time, as in the mutation check of the invariants: by a wrapper around the part
 * that has the guard, never in the product itself. A run with any of them must be found to be wrong.
 */
export const mutations: Readonly<Record<string, Mutation & { readonly guard: string }>> = {
  M1: { guard: 'the request id in the claim script', storeFault: 'none', server: withoutRequestId },
  M2: { guard: 'the journal check in bind', storeFault: 'loses', journal: withoutBindCheck },
  M3: { guard: 'the incarnation check in the scripts', storeFault: 'none', server: withoutIncarnationCheck },
  M4: { guard: 'the lease re-check inside the reap script', storeFault: 'none', server: withoutLeaseCheck },
  M6: { guard: 'boots in flight counted as ready', storeFault: 'none', server: withoutStarting },
  M7: { guard: 'the condition of a healthy store', storeFault: 'loses', wire: withoutHealth },
  I19: { guard: 'the order of those who wait', storeFault: 'none', server: withoutOrder },
};

function withoutRequestId(store: PoolStore): PoolStore {
  return overriding(store, { claim: (request) => store.claim({ ...request, requestId: newClaimId() }) });
}

function withoutBindCheck(journal: BindJournal): BindJournal {
  return overriding(journal, {
    bind: (record) => {
      try {
        journal.bind(record);
      } catch {
        // It was another claim's: nobody asks any more.
      }
    },
  });
}

function withoutIncarnationCheck(store: PoolStore): PoolStore {
  const anyOf = async <T extends { readonly id: string; readonly incarnation?: number }>(target: T) => {
    const incarnation = (await store.get(target.id, null))?.incarnation;
    return incarnation === undefined || target.incarnation === undefined
      ? target
      : { ...target, incarnation };
  };
  return overriding(store, {
    beginStop: async (target, reason) => store.beginStop(await anyOf(target), reason),
    retireSurplus: async (target) => store.retireSurplus(await anyOf(target)),
    reportReady: async (target: NodeFence) => store.reportReady(await anyOf(target)),
    reportFailed: async (target, reason, failure) => store.reportFailed(await anyOf(target), reason, failure),
    finishStop: async (target) => store.finishStop(await anyOf(target)),
  });
}

function withoutLeaseCheck(store: PoolStore): PoolStore {
  return overriding(store, {
    expire: async (id, incarnation) => {
      const answer = await store.expire(id, incarnation);
      if (answer.kind !== 'not_due') return answer;
      return store.beginStop({ id, tenant: null, incarnation }, 'lease_expired');
    },
  });
}

/** Counts only what is ready: the pool is made to want as many more as are starting, for this one step. */
function withoutStarting(store: PoolStore): PoolStore {
  return overriding(store, {
    reserveStart: async (slot) => {
      const pool = await store.readPool(slot.pool);
      if (!pool || pool.starting === 0 || pool.ready >= pool.target) return store.reserveStart(slot);
      const { minReady, maxReady } = pool.size;
      await store.scalePool(slot.pool, {
        minReady: pool.target + pool.starting,
        maxReady: Math.max(maxReady, pool.target + pool.starting),
      });
      const answer = await store.reserveStart(slot);
      await store.scalePool(slot.pool, { minReady, maxReady });
      return answer;
    },
  });
}

/** Whoever comes goes before all who wait already. */
function withoutOrder(store: PoolStore): PoolStore {
  const waiting = new Map<string, ClaimRequest>();
  return overriding(store, {
    claim: async (request) => {
      const key = `${request.tenant} ${request.requestId}`;
      if (!waiting.has(key))
        for (const each of waiting.values()) await store.stopWaiting({ ...each, keptMs: 0 });
      const answer = await store.claim(request);
      if (answer.kind === 'waiting') waiting.set(key, request);
      else waiting.delete(key);
      return answer;
    },
  });
}

/** Every answer is believed at once, whoever gives it. */
function withoutHealth(store: PoolStore): PoolStore {
  return overriding(store, {
    health: () => ({ healthy: true, sinceMs: Number.NEGATIVE_INFINITY, runId: 'any' }),
  });
}
