import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { invalidRequest, WarmpoolError } from '../../src/domain/errors.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { EventCursor, StoreEvent } from '../../src/store/pool-store.ts';
import { TransitionFeed } from '../../src/store/transition-feed.ts';
import { SilentLog } from '../support/silent-log.ts';
import { hourMs, StoreScenario } from '../support/store-scenario.ts';
import { until } from '../support/until.ts';
import { never } from './contract/events.ts';

const clock = new SystemClock();

/** A store that fails to be followed as often as there are failures left, and tells nothing while it does. */
class FailingStore extends MemoryPoolStore {
  readonly failures: Error[] = [];
  readonly cursors: (EventCursor | null)[] = [];

  override async follow(
    cursor: EventCursor | null,
    signal: AbortSignal,
  ): Promise<AsyncIterable<readonly StoreEvent[]>> {
    this.cursors.push(cursor);
    const failure = this.failures.shift();
    if (failure) throw failure;
    return this.#untilAFailure(await super.follow(cursor, signal));
  }

  async *#untilAFailure(
    batches: AsyncIterable<readonly StoreEvent[]>,
  ): AsyncGenerator<readonly StoreEvent[]> {
    for await (const batch of batches) {
      yield batch;
      const failure = this.failures.shift();
      if (failure) throw failure;
    }
  }
}

/** Everything that a listener is told, in order. */
function toldBy(feed: TransitionFeed): string[] {
  const told: string[] = [];
  feed.listen({ heard: ({ id, to }) => told.push(`${id} ${to}`), missed: () => told.push('missed') });
  return told;
}

async function untilTold(told: readonly string[], ...wanted: readonly string[]): Promise<void> {
  await until(() => told.length >= wanted.length, wanted.join(', '));
  assert.deepEqual(told, wanted);
}

const away = () => new WarmpoolError('STORE_UNAVAILABLE', 'it is away');
const tooOld = () => invalidRequest([{ field: 'after_event_id', description: 'is too old' }]);

test('a store that was away at the start is followed later, and whoever waits looks for himself', async () => {
  await using store = new FailingStore({ clock });
  const scenario = new StoreScenario(store);
  await scenario.declare();
  await using feed = new TransitionFeed({ store, clock, log: new SilentLog() });
  const told = toldBy(feed);
  store.failures.push(away());
  feed.start();
  const { id } = await scenario.starting();
  const waiting = feed.news(id, hourMs, never);
  await untilTold(told, 'missed');
  await waiting;
  const heard = await scenario.ready();
  await untilTold(told, 'missed', `${heard.id} starting`, `${heard.id} ready`);
});

test('a feed whose place was trimmed away begins at the end, and whoever waits looks for himself', async () => {
  await using store = new FailingStore({ clock });
  const scenario = new StoreScenario(store);
  await scenario.declare();
  await using feed = new TransitionFeed({ store, clock, log: new SilentLog() });
  const told = toldBy(feed);
  feed.start();
  await untilTold(told, 'missed');
  store.failures.push(tooOld());
  const waiting = feed.news('of nobody here', hourMs, never);
  const { id } = await scenario.starting();
  await untilTold(told, 'missed', `${id} starting`, 'missed');
  await waiting;
  assert.deepEqual(store.cursors, [null, null]);
});

test('an outage while following leaves nothing out: the feed goes on after the last event it has heard', async () => {
  await using store = new FailingStore({ clock });
  const scenario = new StoreScenario(store);
  await scenario.declare();
  await using feed = new TransitionFeed({ store, clock, log: new SilentLog() });
  const told = toldBy(feed);
  feed.start();
  store.failures.push(away());
  const { id } = await scenario.starting();
  await untilTold(told, 'missed', `${id} starting`);
  const unheard = await scenario.starting();
  await untilTold(told, 'missed', `${id} starting`, `${unheard.id} starting`);
  assert.equal(store.cursors.length, 2);
});
