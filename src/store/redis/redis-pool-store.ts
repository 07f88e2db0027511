import type { RedisOptions } from 'ioredis';
import type { Clock } from '../../domain/clock.ts';
import { assertThat, WarmpoolError } from '../../domain/errors.ts';
import { isSandboxId, newClaimId, shardOfPool, shardOfSandbox } from '../../domain/ids.ts';
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
  ListPage,
  ListQuery,
  NodeFence,
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
} from '../pool-store.ts';
import { requestKey } from '../request-key.ts';
import { bootTimeoutSentence } from '../store-limits.ts';
import { claimAnswer, type ScriptAnswer, startAnswer, transitionAnswer } from './answers.ts';
import { followEvents } from './event-follower.ts';
import { EventTail } from './event-tail.ts';
import { healIndexes } from './index-healer.ts';
import { keysOfPool, keysOfSandbox, nodesKey, type PoolKeys, schemaKey, shards } from './keys.ts';
import { parseNodes } from './node-codec.ts';
import { listOwned } from './owned-listing.ts';
import { formatSize, type PoolAnswer, parsePool } from './pool-codec.ts';
import { damagedRecord, type FlatHash, formatCustomisation, parseRecord } from './record-codec.ts';
import {
  backgroundOptions,
  claimsOptions,
  newClient,
  RedisConnection,
  streamOptions,
} from './redis-connection.ts';
import { classifyRedisError, replyCode } from './redis-errors.ts';
import { RedisHealth } from './redis-health.ts';
import { parseRedisUrl } from './redis-url.ts';
import { registerBound, registerReady } from './registrations.ts';
import { scriptStatus } from './script-status.ts';
import { scripts } from './scripts.ts';
import { assertServerFits, parseInfo, serverWarnings } from './server-checks.ts';

/** Counts up when the meaning of stored data changes; a process refuses any other than its own. */
export const schemaVersion = 1;

/** How long `open` waits for a server that is loading its data. */
const openTimeoutMs = 30_000;
/** As long as a look of the reconciler may be late without anybody noticing. */
const identifyRetryMs = 1_000;

export interface RedisPoolStoreDeps {
  readonly clock: Clock;
  /** Takes a sentence about a risk in the server's settings or in the stored data. */
  readonly warn: (sentence: string) => void;
}

export interface RedisPoolStoreOptions {
  /** `redis://`, `rediss://` or `unix:///path?db=n`. */
  readonly url: string;
}

/**
 * The store in Redis: each verb is one Lua script on one shard (`lua/`), and this class only names keys, sends
 * arguments and reads answers.
 *
 * It owns two connections (claims and background, see redis-connection.ts) and a third while events are followed. It keeps no
 * state of the domain, so any number of processes may use one Redis. Verbs that somebody waits for go over the claims
 * connection and fail fast; those of nodes and reapers go over the other, which may queue through a short outage.
 *
 * Turned down: answering from a local copy of the pool. A claim would be faster, and sometimes wrong.
 */
export class RedisPoolStore implements PoolStore {
  readonly #clock: Clock;
  readonly #warn: (sentence: string) => void;
  readonly #server: RedisOptions;
  readonly #health: RedisHealth;
  readonly #claims: RedisConnection;
  readonly #background: RedisConnection;
  readonly #poolKeys = new Map<string, PoolKeys>();
  readonly #tail: EventTail;
  readonly #followers = new AbortController();
  #storeId = '';

  constructor(deps: RedisPoolStoreDeps, options: RedisPoolStoreOptions) {
    this.#clock = deps.clock;
    this.#warn = deps.warn;
    this.#server = parseRedisUrl(options.url);
    this.#health = new RedisHealth(deps.clock);
    this.#claims = new RedisConnection({ ...claimsOptions, ...this.#server }, this.#health);
    this.#background = new RedisConnection({ ...backgroundOptions, ...this.#server }, this.#health);
    this.#tail = new EventTail({
      clock: deps.clock,
      connect: () => newClient({ ...streamOptions, ...this.#server }),
    });
  }

  get storeId(): string {
    assertThat(this.#storeId !== '', 'a store is opened before it is asked for its id');
    return this.#storeId;
  }

  async open(): Promise<void> {
    try {
      await this.#connect();
      await this.#checkServer();
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
    this.#watchServer();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#followers.abort();
    this.#claims.client.disconnect();
    this.#background.client.disconnect();
  }

  health(): StoreHealth {
    return this.#health.value;
  }

  async declarePool({ name, specVersion, size }: PoolDeclaration): Promise<PoolSnapshot> {
    const { pool } = this.#keysOf(name);
    const answer = await this.#background.run(scripts.declarePool, pool, specVersion, formatSize(size));
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
    return transitionAnswer(id, answer as ScriptAnswer);
  }

  registerBound(bound: BoundSandbox): Promise<TransitionAnswer> {
    return registerBound(this.#background, bound);
  }

  registerReady(unclaimed: UnclaimedSandbox): Promise<RegisterReadyAnswer> {
    return registerReady(this.#background, unclaimed);
  }

  async claim(request: ClaimRequest): Promise<ClaimAnswer> {
    assertThat(request.tenant !== '', 'a claim has a tenant');
    if (!poolNamePattern.test(request.pool)) return { kind: 'no_pool' };
    const { pool, cold } = request;
    const keys = this.#keysOf(pool);
    assertThat(
      cold === null || keys.shard === keysOfSandbox(cold.id),
      'a sandbox lives in the shard of its pool',
    );
    const { prefix } = keys.shard;
    const answer = await this.#claims.run(
      scripts.claimSandbox,
      prefix,
      keys.pool,
      `${prefix}owned:${request.tenant}`,
      `${prefix}request:${requestKey(request.tenant, request.requestId)}`,
      request.bodyHash,
      request.claimId,
      request.leaseTtlMs,
      request.maxLifetimeMs,
      request.onExpiry,
      formatCustomisation(request.customisation),
      warmWord(request),
      ...(cold === null ? [] : [cold.id, cold.nodeId, cold.bootTimeoutMs]),
    );
    return claimAnswer(request, answer as ScriptAnswer);
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
    return transitionAnswer(id, answer as ScriptAnswer);
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
    return transitionAnswer(id, answer);
  }

  async finishStop({ id, nodeId, incarnation }: NodeFence): Promise<TransitionAnswer> {
    if (!isSandboxId(id)) return { kind: 'refused', why: 'not_found' };
    const { prefix } = keysOfSandbox(id);
    const answer = await this.#background.run(scripts.finishStop, prefix, id, nodeId, incarnation);
    return transitionAnswer(id, answer as ScriptAnswer);
  }

  async due(limit: number): Promise<readonly DueSandbox[]> {
    const answers = await Promise.all(
      shards.map((shard) => this.#background.run(scripts.listDue, shard.leases, shard.sandboxPrefix, limit)),
    );
    return answers
      .flatMap((answer) => (answer as [number, ...(readonly [string, string, number])[]]).slice(1))
      .map((member) => member as readonly [id: string, deadlineMs: string, incarnation: number])
      .sort((a, b) => Number(a[1]) - Number(b[1]))
      .slice(0, limit)
      .map(([id, , incarnation]) => ({ id, incarnation }));
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

  async inventory(nodeId: string): Promise<readonly SandboxRecord[]> {
    const answers = await Promise.all(
      shards.map((shard) =>
        this.#background.run(scripts.listNode, `${shard.prefix}node:${nodeId}`, shard.sandboxPrefix),
      ),
    );
    const records: SandboxRecord[] = [];
    for (const answer of answers) {
      const [nowMs, ...members] = answer as [number, ...(readonly [string, FlatHash])[]];
      for (const [id, fields] of members) {
        const record = fields.length === 0 ? null : this.#soundRecord(id, fields, nowMs);
        if (record !== null) records.push(record);
      }
    }
    return records.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async heartbeat(node: NodeStatus): Promise<void> {
    await this.#background.run(scripts.beatNode, nodesKey, node.nodeId, JSON.stringify(node));
  }

  async nodes(): Promise<readonly (NodeStatus & { readonly heartbeatAgeMs: number })[]> {
    return parseNodes(await this.#background.run(scripts.listNodes, nodesKey), this.#warn);
  }

  async removeNode(nodeId: string): Promise<void> {
    await this.#background.plain((client) => client.hdel(nodesKey, nodeId));
  }

  async follow(
    cursor: EventCursor | null,
    signal: AbortSignal,
  ): Promise<AsyncIterable<readonly StoreEvent[]>> {
    const { client: background } = this.#background;
    const ended = AbortSignal.any([signal, this.#followers.signal]);
    return followEvents(
      { clock: this.#clock, tail: this.#tail, claims: this.#claims, background },
      this.storeId,
      cursor,
      ended,
    );
  }

  healIndexes(): Promise<HealReport> {
    return healIndexes(this.#background, this.#warn);
  }

  /** Connects both; a server that is loading its data is waited for, one that is not there is an error at once. */
  async #connect(): Promise<void> {
    let lastError: unknown;
    this.#claims.client.once('error', (error) => {
      lastError = error;
    });
    let cancel = () => {};
    const timeout = new Promise<never>((_resolve, reject) => {
      cancel = this.#clock.after(openTimeoutMs, () => reject(new Error('Redis was not ready in time')));
    });
    try {
      await Promise.race([this.#claims.client.connect(), timeout]);
      await Promise.race([this.#background.client.connect(), timeout]);
    } catch (error) {
      // What the server said itself (wrong password, too many clients) says more than that it could not be reached.
      if (replyCode(lastError) !== null) throw classifyRedisError(lastError);
      throw new WarmpoolError(
        'STORE_UNAVAILABLE',
        'the store is unavailable: Redis could not be reached',
        { retryAfterMs: 1_000 },
        { cause: lastError ?? error },
      );
    } finally {
      cancel();
    }
  }

  /** Refuses a server or data that do not fit, and tells what is risky. */
  async #checkServer(): Promise<void> {
    const info = parseInfo(await this.#claims.plain((client) => client.info()));
    assertServerFits(info);
    const schema = await this.#claims.run(scripts.openSchema, schemaKey, schemaVersion, newClaimId());
    const [serverMs, version, storeId] = schema as readonly [number, string, string];
    if (version !== String(schemaVersion)) {
      throw new WarmpoolError(
        'UNSUPPORTED',
        `the data in this Redis has schema ${version} and this process knows schema ${schemaVersion}: run the version of warmpool that fits, or use another database`,
        { facts: { schema: version, known: String(schemaVersion) } },
      );
    }
    this.#storeId = storeId;
    for (const sentence of serverWarnings(info, serverMs, this.#clock.wallMs())) this.#warn(sentence);
    this.#health.identified(info.get('run_id') ?? '');
  }

  /**
   * After each reconnect the server is identified again before it counts as healthy (D13): on both connections, because
   * each of them finds a new server for itself.
   */
  #watchServer(): void {
    for (const { client } of [this.#claims, this.#background]) {
      client.on('close', () => this.#health.disconnected());
      client.on('ready', () => this.#identify(client));
    }
  }

  /** Until it is: a server that answers everything else would count as unhealthy for ever, and no lease would end. */
  #identify(client: RedisConnection['client']): void {
    if (client.status !== 'ready') return;
    client.info('server').then(
      (text) => {
        const areReady = [this.#claims, this.#background].every((each) => each.client.status === 'ready');
        // Else the other one asks when it is.
        if (areReady) this.#health.identified(parseInfo(text).get('run_id') ?? '');
      },
      () => {
        this.#health.failed();
        this.#clock.after(identifyRetryMs, () => this.#identify(client));
      },
    );
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

  /** One damaged record is told about and left out; the others are answered. */
  #soundRecord(id: string, fields: FlatHash, nowMs: number): SandboxRecord | null {
    try {
      return parseRecord(id, fields, nowMs);
    } catch {
      this.#warnOfDamage(id);
      return null;
    }
  }

  #warnOfDamage(id: string): void {
    this.#warn(`the stored record of sandbox ${id} is damaged and was left out`);
  }
}

/** 2 also wants a warm one, and is not counted again. A cold request never waits for one. */
function warmWord({ warm, waiting }: ClaimRequest): 0 | 1 | 2 {
  if (!warm) return 0;
  return waiting ? 2 : 1;
}

/** `null` reads any tenant's. Told apart by a word, so that an empty tenant can never mean everybody's. */
function scopeOf(tenant: string | null): readonly [scope: string, tenant: string] {
  return tenant === null ? ['any', ''] : ['own', tenant];
}
