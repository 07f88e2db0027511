import fc from 'fast-check';
import { hourMs } from '../support/store-scenario.ts';

/** How many sandboxes a run is about: few, so that steps meet. */
export const sandboxCount = 14;

/** One step of a run, the same for both stores. */
export type Step =
  | { readonly verb: 'declare'; readonly spec: string; readonly size: number }
  | { readonly verb: 'scale'; readonly minReady: number; readonly maxTotal: number }
  | { readonly verb: 'note'; readonly follows: number | null; readonly look: number; readonly wanted: number }
  | {
      readonly verb: 'reserve';
      readonly sandbox: number;
      readonly node: string;
      readonly spec: string;
      readonly boot: number;
    }
  | {
      readonly verb: 'ready' | 'finish' | 'fail';
      readonly sandbox: number;
      readonly node: string;
      readonly age: number;
    }
  | {
      readonly verb: 'bound';
      readonly sandbox: number;
      readonly node: string;
      readonly tenant: string;
      readonly request: number;
      readonly incarnation: number;
      readonly isReadyKnown: boolean;
      readonly left: number;
      readonly life: number;
    }
  | {
      readonly verb: 'unclaimed';
      readonly sandbox: number;
      readonly node: string;
      readonly spec: string;
      readonly incarnation: number;
    }
  | {
      readonly verb: 'claim';
      readonly tenant: string;
      readonly request: number;
      readonly body: string;
      readonly ttl: number;
      readonly life: number;
      readonly warm: boolean;
      readonly waiting: boolean;
      readonly cold: number | null;
      readonly boot: number;
      readonly wait: boolean;
    }
  | { readonly verb: 'leave'; readonly tenant: string; readonly request: number; readonly kept: number }
  | {
      readonly verb: 'renew';
      readonly sandbox: number;
      readonly tenant: string;
      readonly ttl: number | null;
      readonly mode: 'extend' | 'set';
    }
  | {
      readonly verb: 'stop';
      readonly sandbox: number;
      readonly tenant: string | null;
      readonly age: number | null;
    }
  | { readonly verb: 'expire' | 'retire'; readonly sandbox: number; readonly age: number }
  | { readonly verb: 'get'; readonly sandbox: number; readonly tenant: string | null }
  | {
      readonly verb: 'list';
      readonly tenant: string;
      readonly pageSize: number;
      readonly state: 'running' | null;
    }
  | { readonly verb: 'beat' | 'forget' | 'lose'; readonly node: string; readonly silent: number }
  | {
      readonly verb: 'order';
      readonly node: string;
      readonly kind: 'cordon' | 'drain' | null;
      readonly left: number;
    }
  | { readonly verb: 'due' | 'pool' | 'inventory' | 'nodes' | 'orders' };

const sandbox = fc.integer({ min: 0, max: sandboxCount - 1 });
/** carol has limits and a reserved share, and no node knows better than the store what is hers. */
const tenant = fc.constantFrom('alice', 'bob', 'carol');
/**
 * She is charged, and never refused: Redis may count what is over for up to half a minute (docs/fairness.md), and the
 * reference store does not. What is refused, both say in the contract.
 */
export const carolsLimits = { maxRunning: 1_000, createsPerSecond: null, createsBurst: 1 };
/** Mostly the right one, so that most steps do something. */
const node = mostly('node-a', 'node-b');
const spec = mostly('v1', 'v2');
const body = mostly('body', 'other');
const age = mostly(0, 1);
const length = fc.constantFrom(0, hourMs, 2 * hourMs);
const incarnation = fc.integer({ min: 1, max: 3 });
const maybeTenant = fc.constantFrom('alice', 'bob', null);

export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.record({
      verb: fc.constant('declare' as const),
      spec,
      size: fc.integer({ min: 0, max: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      verb: fc.constant('scale' as const),
      minReady: fc.integer({ min: 0, max: 5 }),
      maxTotal: fc.integer({ min: 2, max: 8 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      verb: fc.constant('note' as const),
      follows: fc.option(fc.integer({ min: 1, max: 2 })),
      look: fc.integer({ min: 1, max: 2 }),
      wanted: fc.integer({ min: 0, max: 9 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant('retire' as const), sandbox, age }) },
  {
    weight: 6,
    arbitrary: fc.record({ verb: fc.constant('reserve' as const), sandbox, node, spec, boot: length }),
  },
  { weight: 6, arbitrary: fc.record({ verb: fc.constant('ready' as const), sandbox, node, age }) },
  {
    weight: 2,
    arbitrary: fc.record({ verb: fc.constantFrom('finish' as const, 'fail' as const), sandbox, node, age }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      verb: fc.constant('bound' as const),
      sandbox,
      node,
      tenant: fc.constantFrom('alice', 'bob'),
      request: fc.integer({ min: 0, max: 12 }),
      incarnation,
      isReadyKnown: fc.boolean(),
      left: length,
      life: length,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ verb: fc.constant('unclaimed' as const), sandbox, node, spec, incarnation }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      verb: fc.constant('claim' as const),
      tenant,
      request: fc.integer({ min: 0, max: 12 }),
      body,
      ttl: length,
      life: length,
      warm: mostly(true, false),
      waiting: mostly(false, true),
      cold: fc.option(sandbox),
      boot: length,
      wait: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      verb: fc.constant('leave' as const),
      tenant,
      request: fc.integer({ min: 0, max: 12 }),
      kept: length,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      verb: fc.constant('renew' as const),
      sandbox,
      tenant,
      ttl: fc.option(length),
      mode: fc.constantFrom('extend' as const, 'set' as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      verb: fc.constant('stop' as const),
      sandbox,
      tenant: maybeTenant,
      age: fc.option(age),
    }),
  },
  { weight: 4, arbitrary: fc.record({ verb: fc.constant('expire' as const), sandbox, age }) },
  { weight: 1, arbitrary: fc.record({ verb: fc.constant('get' as const), sandbox, tenant: maybeTenant }) },
  {
    weight: 1,
    arbitrary: fc.record({
      verb: fc.constant('list' as const),
      tenant,
      pageSize: fc.integer({ min: 1, max: 4 }),
      state: fc.option(fc.constant('running' as const)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      verb: fc.constantFrom(
        'due' as const,
        'pool' as const,
        'inventory' as const,
        'nodes' as const,
        'orders' as const,
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      verb: fc.constantFrom('beat' as const, 'forget' as const, 'lose' as const),
      node,
      // A heartbeat of this very millisecond is silent for 0, or for less than hours.
      silent: length,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      verb: fc.constant('order' as const),
      node,
      kind: fc.constantFrom('cordon' as const, 'drain' as const, null),
      left: length,
    }),
  },
);

function mostly<Value>(usual: Value, rare: Value): fc.Arbitrary<Value> {
  return fc.oneof({ weight: 7, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constant(rare) });
}
