import { type Metrics, type StoreVerb, storeVerbs } from '../observability/metrics.ts';
import type { PoolStore } from './pool-store.ts';

/**
 * The same store, with each command's time and failure counted. A proxy rather than a class that repeats twenty verbs:
 * it adds nothing to what a verb means, and a verb that is added to the port and to `storeVerbs` is counted at once.
 */
export function measuredPoolStore(
  store: PoolStore,
  metrics: Pick<Metrics, 'storeAnswered' | 'storeFailed'>,
): PoolStore {
  const members = new Map<PropertyKey, unknown>();
  return new Proxy(store, {
    get(target, name) {
      if (members.has(name)) return members.get(name);
      const member: unknown = Reflect.get(target, name, target);
      // A property may change from one look to the next; only methods are remembered.
      if (typeof member !== 'function') return member;
      const method = isVerb(name) ? measured(name, member.bind(target), metrics) : member.bind(target);
      members.set(name, method);
      return method;
    },
  });
}

type Verb = (...args: readonly unknown[]) => Promise<unknown>;

function measured(
  name: StoreVerb,
  verb: Verb,
  metrics: Pick<Metrics, 'storeAnswered' | 'storeFailed'>,
): Verb {
  return async (...args) => {
    const startedMs = performance.now();
    try {
      const answer = await verb(...args);
      metrics.storeAnswered(name, (performance.now() - startedMs) / 1_000);
      return answer;
    } catch (error) {
      metrics.storeFailed(name);
      throw error;
    }
  };
}

function isVerb(name: PropertyKey): name is StoreVerb & keyof PoolStore {
  return storeVerbs.some((verb) => verb === name);
}
