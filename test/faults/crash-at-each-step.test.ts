import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { type FailpointName, failpointNames, onFailpoint } from '../../src/failpoints.ts';
import { alice, never, plain, poolSpec, startCore } from '../support/core.ts';
import { seededRandom } from '../support/random.ts';
import { JournalFolder } from '../support/temporary-journal.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { LastingStore, Life, MortalRuntime } from './mortal-core.ts';

/**
 * T6 with the fake runtime, in virtual time: a process dies at each failpoint, at any of the times that it gets there, and
 * the next one has to find what that left. The same with real processes on bubblewrap and docker is
 * `npm run test:soak crash-at-each-step`.
 */

const roundsPerPoint = 20;
/** I6, and what a start and a look take. */
const settledWithinMs = 15_000;

type Core = Awaited<ReturnType<typeof startCore>>;

/** Creates, uses, and ends sandboxes until the process dies, or all is done. */
async function useCore(core: Core, random: () => number): Promise<void> {
  const mine: string[] = [];
  // One of its own: what dies in the middle never lets go of it.
  const { signal } = new AbortController();
  for (let round = 0; round < 5; round += 1) {
    const request = { ...plain, requestId: `r-${round}` };
    const { record } = await core.allocator.createSandbox(alice, request, signal);
    const command = { sandboxId: record.id, argv: ['true'], env: {}, stdin: new Uint8Array() };
    await core.allocator.exec(alice, command, signal);
    mine.push(record.id);
    if (random() < 0.6) await core.allocator.deleteSandbox(alice, mine.shift() ?? '', signal);
  }
}

for (const survivesNode of [false, true]) {
  describe(`T6 on a runtime whose sandboxes ${survivesNode ? 'outlive' : 'end with'} their node`, () => {
    after(() => onFailpoint(null));
    for (const name of failpointNames) {
      test(`T6 I1 I4 I6 a node that dies at "${name}" leaves nothing that the next one does not settle`, async () => {
        let deaths = 0;
        for (let round = 0; round < roundsPerPoint; round += 1)
          if (await dieAndSettle(name, round, survivesNode)) deaths += 1;
        assert.ok(deaths >= roundsPerPoint / 2, `it was reached in time in ${deaths} rounds`);
      });
    }
  });
}

/** False when the point was not reached so often. */
async function dieAndSettle(name: FailpointName, round: number, survivesNode: boolean): Promise<boolean> {
  const clock = new VirtualClock();
  using folder = new JournalFolder();
  const nowMs = () => clock.monotonicMs();
  await using store = new LastingStore({ clock });
  const life = new Life();
  const runtime = new MortalRuntime(life, { survivesNode, nowMs });
  const pools = [poolSpec({ size: { minReady: 2, maxTotal: 12 } })];
  const common = { pools, clock, journalPath: folder.file, nodeId: 'node-a' };
  const random = seededRandom(1 + round * 31 + failpointNames.indexOf(name));

  const first = await clock.run(startCore({ ...common, store: life.over(store), runtime }));
  life.dieAt(name, 1 + Math.floor(random() * 4));
  const work = useCore(first, random).catch(() => {});
  await clock.run(Promise.race([life.ended, work.then(() => clock.until(nowMs() + 3_000))]));
  onFailpoint(null);
  if (!life.dead) {
    await clock.run(first[Symbol.asyncDispose]());
    return false;
  }
  // The kernel closes what a process had open.
  await first.journal[Symbol.asyncDispose]();

  const bound = boundIn(folder.file);
  const next = new MortalRuntime(new Life(), { survivesNode, nowMs }, runtime);
  const second = await clock.run(startCore({ ...common, store, runtime: next }));
  const diedAtMs = nowMs();
  await clock.run(settle(second, next, clock, diedAtMs));
  // Whoever was let in has it still, where it can be, and nobody else.
  for (const [id, claim] of bound) {
    const record = await store.get(id, 'alice');
    if (!survivesNode || record?.state !== 'running') continue;
    assert.equal(record.claim?.claimId, claim, `${id} belongs to whoever used it`);
    assert.notEqual(second.node.guest(record), null);
  }
  assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
  await clock.run(endAll(second, next, clock));
  await clock.run(second[Symbol.asyncDispose]());
  return true;
}

/** Until what is there and what is recorded are the same, and the pool is full again. */
async function settle(
  core: Core,
  runtime: MortalRuntime,
  clock: VirtualClock,
  fromMs: number,
): Promise<void> {
  for (;;) {
    const wrong = await differences(core, runtime);
    if (wrong.length === 0) return;
    assert.ok(clock.monotonicMs() < fromMs + settledWithinMs, `I6 after 15 s: ${wrong.join('; ')}`);
    await clock.until(clock.monotonicMs() + 250);
  }
}

async function differences(core: Core, runtime: MortalRuntime): Promise<readonly string[]> {
  const records = await core.store.inventory('node-a');
  const pool = await core.store.readPool('base');
  const recorded = new Set(records.map(({ id }) => id));
  const lasting = new Set(['ready', 'running']);
  return [
    ...[...runtime.objects.keys()]
      .filter((id) => !recorded.has(id))
      .map((id) => `object ${id} has no record`),
    ...records
      .filter(({ id }) => !runtime.objects.has(id))
      .map(({ id, state }) => `record ${id} (${state}) has no object`),
    ...records.filter(({ state }) => !lasting.has(state)).map(({ id, state }) => `${id} is ${state}`),
    ...core.journal
      .all()
      .filter(({ id }) => !recorded.has(id))
      .map(({ id }) => `${id} is in the journal only`),
    ...(pool?.ready === 2 && pool.starting === 0 ? [] : [`ready ${pool?.ready}, starting ${pool?.starting}`]),
  ];
}

async function endAll(core: Core, runtime: MortalRuntime, clock: VirtualClock): Promise<void> {
  await core.allocator.scalePool(alice, 'base', { minReady: 0, maxReady: 0 });
  for (const { id, claim } of await core.store.inventory('node-a'))
    if (claim) await core.allocator.deleteSandbox(alice, id, never);
  const endMs = clock.monotonicMs() + 10_000;
  while (runtime.objects.size > 0 || (await core.store.readPool('base'))?.live !== 0) {
    assert.ok(clock.monotonicMs() < endMs, `${runtime.objects.size} objects are left`);
    await clock.until(clock.monotonicMs() + 100);
  }
  assert.deepEqual(core.journal.all(), []);
}

/** Which claim each sandbox was let in for, by the journal that the dead one has left. */
function boundIn(path: string): ReadonlyMap<string, string> {
  const bound = new Map<string, string>();
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const text = /^\d+ [0-9a-f]{16} (.*)$/.exec(line)?.[1];
    if (text === undefined) continue;
    const entry = JSON.parse(text) as { bind?: { id: string; claim: { claimId: string } }; end?: string };
    if (entry.bind) bound.set(entry.bind.id, entry.bind.claim.claimId);
    if (entry.end !== undefined) bound.delete(entry.end);
  }
  return bound;
}
