import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import type {
  ClaimAnswer,
  ClaimRequest,
  PoolSnapshot,
  PoolStore,
  StartAnswer,
  StopTarget,
  TransitionAnswer,
  WaitingClaim,
} from '../../src/store/pool-store.ts';
import type { HostObserver } from './host.ts';
import { Ledger, type Life } from './ledger.ts';
import type { WireObserver } from './store-wire.ts';
import { Waiters } from './waiters.ts';
import type { World } from './world.ts';

/**
 * Holds what happens against the invariants, by their numbers. It stands outside: it sees each command that the store ran
 * with its answer, each use that a node let in, and each object of a host, and shares no code with what it judges.
 *
 * What is promised to whom follows from that alone. A claim promises that its sandbox lives until its lease ends; a store
 * that lost data takes back what nobody had used yet, and leaves to the rest the fifteen seconds that a node gives to
 * renewals it may not have seen.
 */
export class Checker implements WireObserver, HostObserver {
  readonly #world: World;
  readonly #store: () => PoolStore;
  readonly ledger = new Ledger();
  /** Which sandbox a request was given, while no store has lost data; by tenant and request id. */
  readonly #givenTo = new Map<string, string>();
  readonly #sandboxOfClaim = new Map<string, string>();
  readonly #claimOfIncarnation = new Map<string, string>();
  readonly #waiters = new Waiters();
  /** When a fault was last active. */
  faultAtMs = 0;
  #storeLostAtMs: number | null = null;
  #hasJumped = false;
  /** By how much the store's clock went back, in all: leases last as much longer. */
  jumpedBackMs = 0;
  /** What is still made there ends with it. */
  readonly #leavingHosts = new Set<string>();
  /** When each node's last heartbeat came to the store, and when one came after a long silence. */
  readonly #heartbeatAtMs = new Map<string, number>();
  readonly #wasSilentAtMs = new Map<string, number>();
  readonly counted = { claims: 0, uses: 0, renewals: 0, boots: 0, conflicts: 0, storeLosses: 0 };

  constructor(world: World, store: () => PoolStore) {
    this.#world = world;
    this.#store = store;
  }

  async ran(who: string, verb: string, args: readonly unknown[], answer: unknown): Promise<void> {
    switch (verb) {
      case 'claim':
        return this.#claimed(who, args[0] as ClaimRequest, answer as ClaimAnswer);
      case 'reserveStart':
      case 'registerReady':
        return this.#offered(who, verb, answer as StartAnswer | TransitionAnswer);
      case 'beginStop':
        return this.#stopping(
          who,
          verb,
          answer as TransitionAnswer,
          args[0] as StopTarget,
          args[1] as string,
        );
      case 'retireSurplus':
      case 'expire':
      case 'reportFailed':
        return this.#stopping(who, verb, answer as TransitionAnswer, null, '');
      case 'reportReady':
      case 'registerBound':
      case 'renew':
        return this.#moved(who, verb, answer as TransitionAnswer);
      case 'stopWaiting':
        return this.#waiters.stopped(args[0] as WaitingClaim, this.#world.nowMs);
      case 'heartbeat':
        return this.#heard(who);
      case 'inventory':
        return this.#looked(who, answer as readonly SandboxRecord[]);
      default:
    }
  }

  /** A node let somebody use a sandbox as this claim's. */
  used(who: string, record: SandboxRecord, claimId: string): void {
    this.counted.uses += 1;
    const life = this.ledger.life(record.id, record.nodeId);
    this.#world.trace.line(who, `lets claim ${claimId.slice(0, 6)} use ${record.id}`);
    if (life.boundClaimId !== null && life.boundClaimId !== claimId) {
      this.#world.fail('I1', `${record.id} was used by claim ${life.boundClaimId} and now by ${claimId}`);
    }
    life.boundClaimId = claimId;
  }

  made(host: string, sandboxId: string): void {
    this.counted.boots += 1;
    const life = this.ledger.life(sandboxId, host);
    life.exists = true;
    life.diedAtMs = null;
    if (this.#leavingHosts.has(host)) life.excuse ??= 'its node was told to stop';
  }

  died(sandboxId: string, why: string): void {
    const life = this.ledger.find(sandboxId);
    if (!life) return;
    this.#world.trace.line(life.host, `${sandboxId}: ${why}`);
    life.excuse = why;
    life.diedAtMs = this.#world.nowMs;
    if (why === 'its node died') life.exists = false;
  }

  destroyed(sandboxId: string): void {
    const life = this.ledger.find(sandboxId);
    if (!life) return;
    this.#world.trace.line(life.host, `destroys ${sandboxId}`);
    life.exists = false;
    if (this.#isPromised(life)) this.#brokenPromise(life, 'was destroyed');
  }

  /** What ends with its node ends when that is told to stop. */
  nodeStops(host: string): void {
    this.#leavingHosts.add(host);
    for (const life of this.ledger.all()) if (life.host === host) life.excuse ??= 'its node was told to stop';
  }

  nodeStarts(host: string): void {
    this.#leavingHosts.delete(host);
    this.nodeWasAway(host);
  }

  /** The store came back with less than it had. */
  storeLost(why: string): void {
    this.counted.storeLosses += 1;
    const { nowMs } = this.#world;
    this.#storeLostAtMs = nowMs;
    this.#world.trace.line('store', why);
    this.#givenTo.clear();
    this.#claimOfIncarnation.clear();
    this.#sandboxOfClaim.clear();
    this.#waiters.storeLost();
    for (const life of this.ledger.all()) {
      const unseenMs = nowMs + unseenRenewalMs;
      life.promisedUntilMs = life.boundClaimId === null ? 0 : Math.min(life.promisedUntilMs, unseenMs);
      life.leaseEndsAtMs = null;
    }
  }

  /** A node's process cannot do anything for a while: not even tell a store that lost data what that has to know. */
  nodeWasAway(host: string): void {
    for (const life of this.ledger.all()) {
      if (life.host !== host) continue;
      [life.nodeKnowsUntilMs, life.nodeSawUntilMs] = [0, 0];
      // It has seen nothing in this life of it that would keep a lease whose end the store has brought forward.
      if (this.#hasJumped) life.promisedUntilMs = 0;
    }
    const sinceLossMs = this.#world.nowMs - (this.#storeLostAtMs ?? Number.NEGATIVE_INFINITY);
    if (sinceLossMs > registeringMs) return;
    for (const life of this.ledger.all()) if (life.host === host) life.promisedUntilMs = 0;
  }

  /** The store's clock jumped: leases end when their nodes' own timers say so, as far as those have seen them (D12). */
  clockJumped(byMs: number): void {
    const { nowMs, trace } = this.#world;
    trace.line('store', `has a clock that jumped by ${byMs / 1_000} s`);
    this.#hasJumped = true;
    this.#waiters.clockJumped(byMs);
    this.jumpedBackMs += Math.max(0, -byMs);
    for (const life of this.ledger.all()) {
      const knownMs = life.boundClaimId === null ? 0 : life.nodeKnowsUntilMs - timerSlackMs;
      if (byMs > 0) life.promisedUntilMs = Math.min(life.promisedUntilMs, Math.max(knownMs, nowMs));
      life.leaseEndsAtMs = null;
    }
  }

  /** What cannot be seen at a single step: counts against each other, and what should long have happened. */
  async sweep(hosts: readonly string[], pools: readonly string[]): Promise<void> {
    const { nowMs } = this.#world;
    const store = this.#store();
    const records = new Map<string, SandboxRecord>();
    for (const host of hosts)
      for (const record of await store.inventory(host)) records.set(record.id, record);
    const declared = new Set<string>();
    for (const name of pools) {
      const pool = await store.readPool(name);
      if (pool) this.#checkCounts(pool, [...records.values()]);
      if (pool) declared.add(name);
    }
    const due = new Set((await store.due(1_000_000)).map(({ id }) => id));
    for (const { id, pool, state, lease } of records.values()) {
      // The reference store's index lies in the pools: what was told of before its pool is listed when that is declared.
      if (!declared.has(pool)) continue;
      if (state === 'running' && lease?.remainingMs === 0 && !due.has(id))
        this.#world.fail('I17', `${id} runs, its lease has passed, and nobody is told that it is due`);
    }
    const calmMs = nowMs - this.faultAtMs;
    for (const life of [...this.ledger.all()]) {
      if (!life.exists && !records.has(life.id)) {
        this.ledger.forget(life.id);
        continue;
      }
      // A clock that went back has promised more, and nodes keep to that when it goes forth again.
      const endedAtMs = (life.leaseEndsAtMs ?? Number.POSITIVE_INFINITY) + this.jumpedBackMs;
      const overdueMs = nowMs - endedAtMs;
      if (life.exists && overdueMs > goneAfterLeaseMs && calmMs > overdueMs + settlingMs) {
        this.#world.fail(
          'I5',
          `${life.id} still exists ${Math.round(overdueMs)} ms after its lease has ended`,
        );
      }
      const deadMs = nowMs - (life.diedAtMs ?? Number.POSITIVE_INFINITY);
      const state = records.get(life.id)?.state;
      if (deadMs > lostObjectMs && calmMs > lostObjectMs && (state === 'running' || state === 'ready')) {
        this.#world.fail(
          'I7',
          `${life.id} has been gone for ${Math.round(deadMs)} ms and is ${state} in the store`,
        );
      }
    }
  }

  /** What is not in order yet, when nobody uses anything any more. */
  async leftovers(
    hosts: ReadonlyMap<string, ReadonlySet<string>>,
    pools: readonly string[],
  ): Promise<readonly Leftover[]> {
    const store = this.#store();
    const found: Leftover[] = [];
    for (const [host, objects] of hosts) {
      const records = new Map((await store.inventory(host)).map((record) => [record.id, record]));
      for (const id of objects)
        if (!records.has(id))
          found.push({ rule: 'I6', sentence: `${id} exists on ${host} without a record` });
      for (const { id, state } of records.values()) {
        if (!objects.has(id)) found.push({ rule: 'I7', sentence: `${id} is ${state}, and not on ${host}` });
        else if (state !== 'ready')
          found.push({ rule: 'I6', sentence: `${id} is still ${state} on ${host}` });
      }
    }
    for (const name of pools) {
      const pool = await store.readPool(name);
      const { target = 0, ready = 0, live = 0, waiting = 0 } = pool ?? {};
      if (waiting > 0)
        found.push({
          rule: 'I19',
          sentence: `${waiting} still wait for pool ${name}, which nobody asks for`,
        });
      if (!pool || ready !== target || live !== target)
        found.push({
          rule: 'I4',
          sentence: `pool ${name} wants ${target}, and has ${ready} ready, ${live} live`,
        });
    }
    return found;
  }

  async #claimed(who: string, request: ClaimRequest, answer: ClaimAnswer): Promise<void> {
    const { trace, nowMs } = this.#world;
    const passedBy = await this.#waiters.answered(request, answer, nowMs, () =>
      this.#store().readPool(request.pool),
    );
    if (passedBy !== null) this.#world.fail('I19', passedBy);
    const asked = `claim ${request.claimId.slice(0, 6)} of ${request.tenant} (${request.pool})`;
    if (answer.kind !== 'claimed' && answer.kind !== 'starting') {
      trace.line(who, `${asked} → ${answer.kind}`);
      return;
    }
    const { record, repeated } = answer;
    trace.line(
      who,
      `${asked} → ${answer.kind}${repeated ? ' again' : ''} ${record.id}.${record.incarnation}`,
    );
    const { claim } = record;
    if (!claim) return this.#world.fail('I4', `${record.id} was given out without a claim`);
    this.counted.claims += 1;
    const key = `${request.tenant} ${request.requestId}`;
    const before = this.#givenTo.get(key);
    if (before !== undefined && before !== record.id)
      this.#world.fail('I2', `request ${key} was given ${before} and now ${record.id}`);
    this.#givenTo.set(key, record.id);
    const tookBefore = this.#sandboxOfClaim.get(claim.claimId);
    if (tookBefore !== undefined && tookBefore !== record.id)
      this.#world.fail('I1', `claim ${claim.claimId} took ${tookBefore} and now ${record.id}`);
    this.#sandboxOfClaim.set(claim.claimId, record.id);
    const incarnation = `${record.id}.${record.incarnation}`;
    const other = this.#claimOfIncarnation.get(incarnation);
    if (other !== undefined && other !== claim.claimId)
      this.#world.fail('I1', `${incarnation} was given to claim ${other} and now to ${claim.claimId}`);
    this.#claimOfIncarnation.set(incarnation, claim.claimId);
    if (claim.tenant !== request.tenant)
      this.#world.fail('I16', `${record.id} of ${claim.tenant} was given to ${request.tenant}`);

    const life = this.ledger.life(record.id, record.nodeId);
    if (!repeated && life.boundClaimId !== null && this.#storeLostAtMs === null)
      this.#world.fail('I3', `${record.id} was used by ${life.boundClaimId} and given out again`);
    life.claim = { claimId: claim.claimId, tenant: claim.tenant };
    this.#leased(life, record);
    const isReserved = answer.kind === 'starting' && record.incarnation === 1;
    if (!repeated && isReserved) await this.#checkMaxTotal(request.pool);
  }

  async #offered(who: string, verb: string, answer: StartAnswer | TransitionAnswer): Promise<void> {
    if (answer.kind === 'refused') return;
    const { record } = answer;
    this.#world.trace.line(who, `${verb} ${record.id}: ${record.state}`);
    const life = this.ledger.life(record.id, record.nodeId);
    if (record.state === 'ready') this.#checkNeverUsed(life);
    const pool = await this.#store().readPool(record.pool);
    // What it had before is more than it may have where nodes have told of what they run.
    if (!pool || record.claim || record.createdAtMs !== pool.readAtMs) return;
    if (pool.ready + pool.starting > pool.target) {
      const counts = `${pool.ready} ready and ${pool.starting} starting of ${pool.target}`;
      this.#world.fail('I8', `pool ${pool.name} has ${counts} after ${verb} of ${record.id}`);
    }
    await this.#checkMaxTotal(record.pool);
  }

  async #checkMaxTotal(name: string): Promise<void> {
    const pool = await this.#store().readPool(name);
    if (pool && pool.live > pool.size.maxTotal)
      this.#world.fail('I8', `pool ${name} has ${pool.live} live of at most ${pool.size.maxTotal}`);
  }

  #moved(who: string, verb: string, answer: TransitionAnswer): void {
    if (answer.kind !== 'done') return;
    const { record } = answer;
    const left = record.lease ? `, ${record.lease.remainingMs} ms left` : '';
    this.#world.trace.line(who, `${verb} ${record.id}: ${record.state}${left}`);
    if (verb === 'renew') this.counted.renewals += 1;
    const life = this.ledger.life(record.id, record.nodeId);
    if (record.state === 'ready') this.#checkNeverUsed(life);
    const { claim } = record;
    // A store that was put back had given it to somebody else: who asks for the same again gets another one (I2).
    if (verb === 'registerBound' && life.claim?.claimId !== claim?.claimId) this.#giveRequestBack(record.id);
    if (claim) life.claim = { claimId: claim.claimId, tenant: claim.tenant };
    this.#leased(life, record);
  }

  /** Something is to end: whose lease still runs, and who has neither asked for it nor died, is wronged. */
  #stopping(
    who: string,
    verb: string,
    answer: TransitionAnswer | { kind: string },
    target: StopTarget | null,
    why: string,
  ): void {
    if (answer.kind !== 'done' || !('record' in answer)) return;
    const { record } = answer;
    const { endReason = '' } = record;
    this.#world.trace.line(who, `${verb} ${record.id}: ${record.state} (${endReason})`);
    const life = this.ledger.life(record.id, record.nodeId);
    if (record.state === 'failed' && !life.wasRunning) this.#giveRequestBack(record.id);
    const isOwners = target !== null && target.tenant !== null;
    if (isOwners) life.excuse ??= 'its owner deleted it';
    else if (why === 'node_drained') life.excuse ??= 'its node was drained';
    if (endReason === 'node_lost' && this.#wasSilent(life.host)) life.excuse ??= 'its node is lost';
    // Its record may say so before its time; what counts then is what becomes of the sandbox.
    if (verb === 'expire' && this.#hasJumped) return;
    if (this.#isPromised(life)) this.#brokenPromise(life, `became ${record.state} by ${verb} (${endReason})`);
  }

  /** A node was told what the store has of it. */
  #looked(who: string, records: readonly SandboxRecord[]): void {
    for (const { id, state, lease } of records) {
      const life = this.ledger.find(id);
      if (life?.host !== who) continue;
      life.nodeKnowsUntilMs = life.nodeSawUntilMs;
      life.nodeSawUntilMs = state === 'running' && lease ? this.#world.nowMs + lease.remainingMs : 0;
    }
  }

  #giveRequestBack(sandboxId: string): void {
    for (const [key, given] of this.#givenTo) if (given === sandboxId) this.#givenTo.delete(key);
    for (const [claim, given] of this.#sandboxOfClaim)
      if (given === sandboxId) this.#sandboxOfClaim.delete(claim);
  }

  #leased(life: Life, { lease, state }: SandboxRecord): void {
    if (state !== 'running' || !lease) return;
    life.wasRunning = true;
    const endsAtMs = this.#world.nowMs + lease.remainingMs;
    // A store that was put back gives out what is no more: I7 says what becomes of that.
    life.promisedUntilMs = life.exists ? endsAtMs : 0;
    life.leaseEndsAtMs = endsAtMs;
  }

  /** Whether a node may be called lost: until a moment ago, since one step declares it and others follow. */
  #wasSilent(host: string): boolean {
    const { nowMs } = this.#world;
    const silentMs = nowMs - (this.#heartbeatAtMs.get(host) ?? 0);
    return silentMs >= silentMsMin || nowMs - (this.#wasSilentAtMs.get(host) ?? -lostStepsMs) < lostStepsMs;
  }

  #heard(host: string): void {
    if (this.#wasSilent(host)) this.#wasSilentAtMs.set(host, this.#world.nowMs);
    this.#heartbeatAtMs.set(host, this.#world.nowMs);
  }

  #isPromised({ claim, excuse, promisedUntilMs }: Life): boolean {
    return claim !== null && excuse === null && promisedUntilMs > this.#world.nowMs + roundingMs;
  }

  #brokenPromise(life: Life, how: string): void {
    const rule = this.#storeLostAtMs === null ? 'I5' : 'I10';
    const leftMs = Math.round(life.promisedUntilMs - this.#world.nowMs);
    this.#world.fail(rule, `${life.id} ${how} with ${leftMs} ms of its lease left`);
  }

  #checkNeverUsed(life: Life): void {
    if (life.boundClaimId === null) return;
    this.#world.fail('I3', `${life.id} is ready again, and claim ${life.boundClaimId} has used it`);
  }

  #checkCounts(pool: PoolSnapshot, all: readonly SandboxRecord[]): void {
    const own = all.filter((record) => record.pool === pool.name);
    const count = (isMeant: (record: SandboxRecord) => boolean) => own.filter(isMeant).length;
    const seen = {
      ready: count(({ state }) => state === 'ready'),
      starting: count(({ state, claim }) => state === 'starting' && !claim),
      live: count(({ state }) => state !== 'stopped' && state !== 'failed'),
    };
    for (const name of ['ready', 'starting', 'live'] as const) {
      if (seen[name] !== pool[name])
        this.#world.fail(
          'I4',
          `pool ${pool.name} counts ${pool[name]} ${name}, its records say ${seen[name]}`,
        );
    }
  }
}

export interface Leftover {
  readonly rule: string;
  readonly sentence: string;
}

/** The store counts in whole milliseconds. */
const roundingMs = 2;
/** What a node gives to renewals that only a store was told of which has lost them. */
const unseenRenewalMs = 10_000;
/** Two reconciling passes, and one that was given up. */
const registeringMs = 20_000;
/** A node does not hold on to a lease for what its look may have been late by. */
const timerSlackMs = 3_000;
/** A node counts as lost after 15 s without a heartbeat, and then what runs on it fails. */
const silentMsMin = 14_900;
/** From declaring it lost to the end of its last sandbox. */
const lostStepsMs = 5_000;
/** I5: the reaper's second, and four to kill. */
const goneAfterLeaseMs = 5_000;
/** After a fault the reaper waits for the nodes, and they for the engine. */
const settlingMs = 20_000;
/** I7. */
const lostObjectMs = 30_000;
