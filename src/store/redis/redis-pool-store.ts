import type { Clock } from '../../domain/clock.ts';
import { assertThat } from '../../domain/errors.ts';
import { isSandboxId, shardOfPool, shardOfSandbox } from '../../domain/ids.ts';
import { poolNamePattern } from '../../domain/limits.ts';
import type { EndReason, SandboxRecord } from '../../domain/sandbox.ts';
import type { Demand } from '../../domain/sizing.ts';
import type {
  BoundSandbox,
  ClaimAnswer,
  ClaimRequest,
  DueSandbox,
  EventCursor,
  ExpireAnswer,
  HealReport,
  HeardNode,
  ListPage,
  ListQuery,
  LossAnswer,
  NewNodeOrder,
  NodeFence,
  NodeOrder,
  NodeStatus,
  Owner,
  PoolDeclaration,
  PoolSnapshot,
  PoolStore,
  ReadyAnswer,
  RegisterReadyAnswer,
  RenewAnswer,
  RetireAnswer,
  SizeChange,
  StartAnswer,
  StartSlot,
  StopTarget,
  StoreEvent,
  StoreHealth,
  TransitionAnswer,
  UnclaimedSandbox,
  WaitingClaim,
} from '../pool-store.ts';
import { bootTimeoutSentence } from '../store-limits.ts';
import { type ScriptAnswer, startAnswer, transitionAnswer } from './answers.ts';
import { claimSandbox, stopWaiting } from './claim.ts';
import { followEvents } from './event-follower.ts';
import { healIndexes } from './index-healer.ts';
import { keysOfPool, keysOfSandbox, nodeOrdersKey, nodesKey, type PoolKeys } from './keys.ts';
import { lossAnswer, parseGivenOrder, parseNodes, parseOrders } from './node-codec.ts';
import { listOwned } from './owned-listing.ts';
import { formatReserved, formatSize, type PoolAnswer, parsePool } from './pool-codec.ts';
import { damagedRecord, type FlatHash, parseRecord } from './record-codec.ts';
import type { RedisConnection } from './redis-connection.ts';
import { RedisServers } from './redis-servers.ts';
import { parseRedisUrl, type RedisTls } from './redis-url.ts';
import { registerBound, registerReady } from './registrations.ts';
import { scriptStatus } from './script-status.ts';
import { scripts } from './scripts.ts';
import { listDue, listPlaced } from './shard-listings.ts';
import { TenantLedger } from './tenant-ledger.ts';

export interface RedisPoolStoreDeps {
  readonly clock: Clock;
  /** Takes a sentence about a risk in the server's settings or in the stored data. */
  readonly warn: (sentence: string) => void;
  readonly observer?: { claimNotReplicated(): void };
}

export interface RedisPoolStoreOptions {
  /** Any form that redis-url.ts reads. */
  readonly url: string;
  readonly tls?: RedisTls;
  /** `wait`: a claim is answered when a replica has it as well, or after a moment; `async` (default): at once. */
  readonly durability?: 'async' | 'wait';
}

/**
 * The store in Redis: each verb is one Lua script on one shard (`lua/`), and this class only names keys, sends
 * arguments and reads answers.
 *
 * It owns its connections (redis-servers.ts), and more of them while events are followed. It keeps no state of the domain, so any number of processes may use one Redis. Verbs that somebody waits for go over the claims
 * connection and fail fast; those of nodes and reapers go over the other, which may queue through a short outage.
 *
 * Turned down: answering from a local copy of the pool. A claim would be faster, and sometimes wrong.
 */
export class RedisPoolStore implements PoolStore {
  readonly #clock: Clock;
  readonly #warn: (sentence: string) => void;
  readonly #servers: RedisServers;
  readonly #claims: RedisConnection;
  readonly #background: RedisConnection;
  readonly #ledger: TenantLedger;
  readonly #poolKeys = new Map<string, PoolKeys>();
  readonly #followers = new AbortController();
  #storeId = '';

  constructor(deps: RedisPoolStoreDeps, options: RedisPoolStoreOptions) {
    this.#clock = deps.clock;
    this.#warn = deps.warn;
    this.#servers = new RedisServers(deps.clock, {
      place: parseRedisUrl(options.url, options.tls),
      whenUnreplicated: options.durability === 'wait' ? () => deps.observer?.claimNotReplicated() : null,
    });
    this.#claims = this.#servers.claims;
    this.#background = this.#servers.background;
    this.#ledger = new TenantLedger({ claims: this.#claims, background: this.#background }, deps.clock);
  }

  get storeId(): string {
    assertThat(this.#storeId !== '', 'a store is opened before it is asked for its id');
    return this.#storeId;
  }

  async open(): Promise<void> {
    try {
      const { storeId, warnings } = await this.#servers.open();
      this.#storeId = storeId;
      for (const sentence of warnings) this.#warn(sentence);
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#followers.abort();
    this.#servers.close();
  }

  health(shard?: number): StoreHealth {
    const { healths } = this.#servers;
    return shard === undefined ? healths.all : healths.of(shard);
  }

  async declarePool({ name, specVersion, size, reserved }: PoolDeclaration): Promise<PoolSnapshot> {
    const { pool } = this.#keysOf(name);
    const answer = await this.#background.run(
      scripts.declarePool,
      pool,
      specVersion,
      formatSize(size),
      formatReserved(reserved),
    );
    const snapshot = parsePool(name, answer as PoolAnswer);
    assertThat(snapshot !== null, 'a pool exists once it was declared');
    return snapshot;
  }

  async scalePool(name: string, change: SizeChange): Promise<PoolSnapshot | null> {
    if (!poolNamePattern.test(name)) return null;
    const { pool } = this.#keysOf(name);
    return parsePool(
      name,
      (await this.#claims.run(scripts.scalePool, pool, JSON.stringify(change))) as PoolAnswer,
    );
  }

  async readPool(name: string): Promise<PoolSnapshot | null> {
    if (!poolNamePattern.test(name)) return null;
    return parsePool(name, (await this.#claims.run(scripts.readPool, this.#keysOf(name).pool)) as PoolAnswer);
  }

  async noteDemand(name: string, follows: Demand | null, demand: Demand): Promise<PoolSnapshot | null> {
    if (!poolNamePattern.test(name)) return null;
    const answer = await this.#background.run(
      scripts.noteDemand,
      this.#keysOf(name).pool,
      follows?.load.sampledAtMs ?? '',
      demand.load.sampledAtMs,
      demand.wanted,
      JSON.stringify(demand),
    );
    return parsePool(name, answer as PoolAnswer);
  }

  async reserveStart({ id, pool, nodeId, specVersion, bootTimeoutMs }: StartSlot): Promise<StartAnswer> {
    if (!poolNamePattern.test(pool)) return { kind: 'refused', why: 'no_pool' };
    assertThat(shardOfSandbox(id) === shardOfPool(pool), 'a sandbox lives in the shard of its pool');
    const keys = this.#keysOf(pool);
    const answer = await this.#background.run(
      scripts.reserveStart,
      keys.shard.prefix,
      keys.pool,
      id,
      pool,
      nodeId,
      specVersion,
      bootTimeoutMs,
    );
    return startAnswer(id, answer as ScriptAnswer);
  }

  async reportReady({ id, nodeId, incarnation }: NodeFence): Promise<ReadyAnswer> {
    if (!isSandboxId(id)) return { kind: 'refused', why: 'not_found' };
    const { prefix } = keysOfSandbox(id);
    const answer = await this.#background.run(scripts.reportReady, prefix, id, nodeId, incarnation);
    return transitionAnswer(id, answer as ScriptAnswer);
  }

  async reportFailed(target: NodeFence, reason: EndReason, failure: string): Promise<TransitionAnswer> {
    const { id, nodeId, incarnation } = target;
    if (!isSandboxId(id)) return { kind: 'refused', why: 'not_found' };
    const { prefix } = keysOfSandbox(id);
    const answer = await this.#background.run(
      scripts.reportFailed,
      prefix,
      id,
      nodeId,
      incarnation,
      reason,
      failure,
    );
    return this.#ended(id, answer as ScriptAnswer);
  }

  registerBound(bound: BoundSandbox): Promise<TransitionAnswer> {
    return registerBound(this.#background, bound);
  }

  registerReady(unclaimed: UnclaimedSandbox): Promise<RegisterReadyAnswer> {
    return registerReady(this.#background, unclaimed);
  }

  async claim(request: ClaimRequest): Promise<ClaimAnswer> {
    if (!poolNamePattern.test(request.pool)) return { kind: 'no_pool' };
    return claimSandbox(
      this.#servers.durable ?? this.#claims,
      this.#ledger,
      this.#keysOf(request.pool),
      request,
    );
  }

  async stopWaiting(claim: WaitingClaim): Promise<void> {
    if (!poolNamePattern.test(claim.pool)) return;
    await stopWaiting(this.#claims, this.#ledger, this.#keysOf(claim.pool), claim);
  }

  async renew({ id, tenant }: Owner, ttlMs: number | null, mode: 'extend' | 'set'): Promise<RenewAnswer> {
    if (!isSandboxId(id)) return { kind: 'refused', why: 'not_found' };
    const { sandboxPrefix, leases } = keysOfSandbox(id);
    const answer = await this.#claims.run(
      scripts.renewLease,
      `${sandboxPrefix}${id}`,
      leases,
      id,
      tenant,
      ttlMs ?? '',
      mode,
    );
    return transitionAnswer(id, answer as ScriptAnswer);
  }

  async beginStop({ id, tenant, incarnation }: StopTarget, reason: EndReason): Promise<TransitionAnswer> {
    if (!isSandboxId(id)) return { kind: 'refused', why: 'not_found' };
    const answer = await this.#claims.run(
      scripts.beginStop,
      keysOfSandbox(id).prefix,
      id,
      ...scopeOf(tenant),
      incarnation ?? '',
      reason,
    );
    return this.#ended(id, answer as ScriptAnswer);
  }

  async retireSurplus(target: { readonly id: string; readonly incarnation: number }): Promise<RetireAnswer> {
    const { id, incarnation } = target;
    if (!isSandboxId(id)) return { kind: 'refused', why: 'not_found' };
    const reply = await this.#background.run(
      scripts.retireSurplus,
      keysOfSandbox(id).prefix,
      id,
      incarnation,
    );
    const answer = reply as ScriptAnswer;
    return answer[0] === scriptStatus.NO_SURPLUS ? { kind: 'no_surplus' } : transitionAnswer(id, answer);
  }

  async expire(id: string, incarnation: number): Promise<ExpireAnswer> {
    if (!isSandboxId(id)) return { kind: 'refused', why: 'not_found' };
    const { prefix } = keysOfSandbox(id);
    const reply = await this.#background.run(
      scripts.expireSandbox,
      prefix,
      id,
      incarnation,
      bootTimeoutSentence,
    );
    const answer = reply as ScriptAnswer;
    if (answer[0] === scriptStatus.NOT_DUE) return { kind: 'not_due', remainingMs: Number(answer[2]) };
    return this.#ended(id, answer);
  }

  async finishStop({ id, nodeId, incarnation }: NodeFence): Promise<TransitionAnswer> {
    if (!isSandboxId(id)) return { kind: 'refused', why: 'not_found' };
    const { prefix } = keysOfSandbox(id);
    const answer = await this.#background.run(scripts.finishStop, prefix, id, nodeId, incarnation);
    return transitionAnswer(id, answer as ScriptAnswer);
  }

  due(limit: number): Promise<readonly DueSandbox[]> {
    return listDue(this.#background, limit);
  }

  async get(id: string, tenant: string | null): Promise<SandboxRecord | null> {
    if (!isSandboxId(id)) return null;
    const key = `${keysOfSandbox(id).sandboxPrefix}${id}`;
    const answer = (await this.#claims.run(scripts.readSandbox, key, ...scopeOf(tenant))) as ScriptAnswer;
    const [status, nowMs, fields] = answer;
    if (status === scriptStatus.GARBLED) throw damagedRecord(id, String(fields));
    return status === scriptStatus.DONE ? parseRecord(id, fields as FlatHash, nowMs) : null;
  }

  list(query: ListQuery): Promise<ListPage> {
    return listOwned(this.#claims, query, (id) => this.#warnOfDamage(id));
  }

  inventory(nodeId: string): Promise<readonly SandboxRecord[]> {
    return listPlaced(this.#background, nodeId, (id) => this.#warnOfDamage(id));
  }

  async heartbeat(node: NodeStatus): Promise<NodeOrder | null> {
    const answer = await this.#background.run(
      scripts.beatNode,
      nodesKey,
      nodeOrdersKey,
      node.nodeId,
      JSON.stringify(node),
    );
    return parseGivenOrder(answer);
  }

  async nodes(): Promise<readonly HeardNode[]> {
    return parseNodes(await this.#background.run(scripts.listNodes, nodesKey, nodeOrdersKey), this.#warn);
  }

  async nodeOrders(): Promise<ReadonlyMap<string, NodeOrder>> {
    return parseOrders(await this.#background.run(scripts.listNodes, nodesKey, nodeOrdersKey));
  }

  async orderNode(nodeId: string, order: NewNodeOrder | null): Promise<boolean> {
    const timeoutMs = order?.kind === 'drain' ? order.timeoutMs : null;
    const answer = await this.#claims.run(
      scripts.orderNode,
      nodesKey,
      nodeOrdersKey,
      nodeId,
      order?.kind ?? '',
      timeoutMs ?? '',
    );
    return (answer as readonly [number])[0] === scriptStatus.DONE;
  }

  async declareLost(nodeId: string, silentMs: number): Promise<LossAnswer> {
    return lossAnswer(await this.#background.run(scripts.loseNode, nodesKey, nodeId, silentMs));
  }

  async removeNode(nodeId: string, silentMs = 0): Promise<void> {
    await this.#background.run(scripts.removeNode, nodesKey, nodeId, silentMs);
  }

  async follow(
    cursor: EventCursor | null,
    signal: AbortSignal,
  ): Promise<AsyncIterable<readonly StoreEvent[]>> {
    const ended = AbortSignal.any([signal, this.#followers.signal]);
    return followEvents(
      {
        clock: this.#clock,
        tail: this.#servers.tail,
        claims: this.#claims,
        background: this.#background,
        isAway: (shard) => this.#servers.isAway(shard),
      },
      this.storeId,
      cursor,
      ended,
    );
  }

  async healIndexes(): Promise<HealReport> {
    const { readded, dropped } = await healIndexes(this.#background, this.#warn);
    return { readded: readded + (await this.#ledger.heal()), dropped };
  }

  /** Whoever has sent a sandbox on its way out gives back what its tenant's limits were charged for it. */
  async #ended(id: string, answer: ScriptAnswer): Promise<TransitionAnswer> {
    await this.#ledger.afterEnding(answer);
    return transitionAnswer(id, answer);
  }

  #keysOf(pool: string): PoolKeys {
    let keys = this.#poolKeys.get(pool);
    if (keys === undefined) {
      keys = keysOfPool(pool);
      // Names come from requests: a bound keeps made-up ones from growing the map for ever.
      if (this.#poolKeys.size >= 1_024) this.#poolKeys.clear();
      this.#poolKeys.set(pool, keys);
    }
    return keys;
  }

  #warnOfDamage(id: string): void {
    this.#warn(`the stored record of sandbox ${id} is damaged and was left out`);
  }
}

/** `null` reads any tenant's. Told apart by a word, so that an empty tenant can never mean everybody's. */
function scopeOf(tenant: string | null): readonly [scope: string, tenant: string] {
  return tenant === null ? ['any', ''] : ['own', tenant];
}
