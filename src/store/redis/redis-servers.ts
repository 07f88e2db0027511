import { Cluster, type Redis } from 'ioredis';
import { type Clock, pause } from '../../domain/clock.ts';
import { WarmpoolError } from '../../domain/errors.ts';
import { newClaimId } from '../../domain/ids.ts';
import { addressOf, ownerOfShard, parseAddress } from './cluster-owners.ts';
import { DurableConnection } from './durable-connection.ts';
import { EventTail, type TailLane } from './event-tail.ts';
import { schemaKey, shards } from './keys.ts';
import { openingFailure } from './opening-failure.ts';
import { backgroundProfile, claimsProfile, durableProfile, newStreamClient } from './redis-client.ts';
import { RedisConnection } from './redis-connection.ts';
import { classifyRedisError, replyCode } from './redis-errors.ts';
import { StoreHealths } from './redis-health.ts';
import type { RedisPlace } from './redis-url.ts';
import { scripts } from './scripts.ts';
import { assertServerFits, type InspectedServer, parseInfo, serverWarnings } from './server-checks.ts';
import { ServerWatch } from './server-watch.ts';

/** Counts up when the meaning of stored data changes; a process refuses any other than its own. */
export const schemaVersion = 1;

/** How long `open` waits for a server that is loading its data, or for one that is about to take the place of another. */
const openTimeoutMs = 30_000;
/** Between looks at whether all shards are served. */
const lookMs = 250;

export interface RedisServersOptions {
  readonly place: RedisPlace;
  /** Claims wait for a replica, on a connection of their own; called when none confirmed one in time. null: they do not. */
  readonly whenUnreplicated: (() => void) | null;
}

/**
 * The connections to one Redis, in whatever form: one server, the master of some sentinels, or a cluster. It owns those for
 * claims and for the background (and one for durable claims), the tail of the events, and what is known of the servers' health.
 *
 * States: closed, open (every shard's server was found, fits, and is watched from then on), closed for good.
 */
export class RedisServers {
  readonly claims: RedisConnection;
  readonly background: RedisConnection;
  /** null: claims wait for no replica. */
  readonly durable: RedisConnection | null;
  readonly healths: StoreHealths;
  readonly tail: EventTail;
  readonly #clock: Clock;
  readonly #place: RedisPlace;
  readonly #watches: readonly ServerWatch[];

  constructor(clock: Clock, { place, whenUnreplicated }: RedisServersOptions) {
    this.#clock = clock;
    this.#place = place;
    const isCluster = place.kind === 'cluster';
    this.healths = new StoreHealths(clock, isCluster, 2);
    const deps = { clock, healths: this.healths };
    this.claims = new RedisConnection(deps, place, claimsProfile);
    this.background = new RedisConnection(deps, place, backgroundProfile);
    this.durable =
      whenUnreplicated === null ? null : new DurableConnection(deps, place, durableProfile, whenUnreplicated);
    this.#watches = [this.claims, this.background].map(
      (connection, index) => new ServerWatch({ ...deps, connection }, index),
    );
    this.tail = new EventTail({ clock, lanes: isCluster ? this.#clusterLanes() : [this.#onlyLane()] });
  }

  /** Answers with the id of the store's data, and what there is to warn of. */
  async open(): Promise<{ readonly storeId: string; readonly warnings: readonly string[] }> {
    await this.#connect();
    const servers = await this.#identify(async () => {
      const infos = await this.#inspect();
      for (const { info, address } of infos) assertServerFits(info, this.#place.kind, address);
      return infos;
    });
    const schema = await this.claims.run(scripts.openSchema, schemaKey, schemaVersion, newClaimId());
    const [serverMs, version, storeId] = schema as readonly [number, string, string];
    if (version !== String(schemaVersion)) {
      throw new WarmpoolError(
        'UNSUPPORTED',
        `the data in this Redis has schema ${version} and this process knows schema ${schemaVersion}: run the version of warmpool that fits, or use another database`,
        { facts: { schema: version, known: String(schemaVersion) } },
      );
    }
    for (const watch of this.#watches) watch.start();
    const skewMs = serverMs - this.#clock.wallMs();
    return { storeId, warnings: serverWarnings(servers, this.#place.kind, skewMs) };
  }

  close(): void {
    this.tail.close();
    for (const watch of this.#watches) watch.stop();
    for (const connection of this.#connections) connection.disconnect();
  }

  /** Whether a command to this shard's server would wait for one. */
  isAway(shard: number): boolean {
    return this.#place.kind === 'cluster' && !this.healths.of(shard).healthy;
  }

  get #connections(): readonly RedisConnection[] {
    return [this.claims, this.background, ...(this.durable === null ? [] : [this.durable])];
  }

  /** A server that is loading its data is waited for, one that is not there is an error at once. */
  async #connect(): Promise<void> {
    let lastError: unknown;
    let cancel = () => {};
    const failed = new Promise<never>((_resolve, reject) => {
      cancel = this.#clock.after(openTimeoutMs, () => reject(new Error('Redis was not ready in time')));
      let failures = 0;
      this.claims.client.on('error', (error) => {
        lastError = error;
        failures += 1;
        // Sentinels are asked again and again, in turn and without end; those that all fail three times are not there.
        if (this.#place.kind === 'sentinel' && failures === sentinelRoundsMax) reject(error);
      });
    });
    failed.catch(() => {});
    try {
      for (const { client } of this.#connections) await Promise.race([client.connect(), failed]);
    } catch (error) {
      throw openingFailure(this.#place, lastError ?? error);
    } finally {
      cancel();
    }
  }

  /** Until every shard has a server that says who it is: a cluster may be replacing one just now. */
  async #identify<Checked>(check: () => Promise<Checked>): Promise<Checked> {
    const endMs = this.#clock.monotonicMs() + openTimeoutMs;
    for (;;) {
      try {
        const checked = await check();
        for (const watch of this.#watches) await watch.identifyAll();
        return checked;
      } catch (error) {
        const isReplaced = this.#place.kind === 'cluster' && passing.has(replyCode(causeOf(error)) ?? 'CUT');
        if (error instanceof WarmpoolError && error.code === 'UNSUPPORTED') throw error;
        if (!isReplaced || this.#clock.monotonicMs() > endMs)
          throw openingFailure(this.#place, causeOf(error));
        await pause(this.#clock, lookMs, new AbortController().signal);
      }
    }
  }

  async #inspect(): Promise<readonly InspectedServer[]> {
    const { claims } = this;
    return Promise.all(
      claims.masters.map(async (master) => ({
        info: parseInfo(await claims.ofMaster(master, (client) => client.info())),
        address: this.#place.kind === 'single' ? '' : addressOf(master),
      })),
    );
  }

  #onlyLane(): TailLane {
    return {
      shards: shards.map((_, shard) => shard),
      reconnects: true,
      connect: () => newStreamClient(this.#place, null),
    };
  }

  #clusterLanes(): readonly TailLane[] {
    return shards.map((_, shard) => ({
      shards: [shard],
      reconnects: false,
      connect: (): Redis => {
        const { client } = this.background;
        const owner = client instanceof Cluster ? ownerOfShard(client, shard) : null;
        if (owner === null) throw classifyRedisError(new Error('no master of the shard is known'));
        return newStreamClient(this.#place, parseAddress(owner));
      },
    }));
  }
}

const sentinelRoundsMax = 3;

/** What a cluster says, or does, while one of its servers takes the place of another. `CUT`: the connection was cut. */
const passing: ReadonlySet<string> = new Set(['CLUSTERDOWN', 'LOADING', 'MASTERDOWN', 'TRYAGAIN', 'CUT']);

function causeOf(error: unknown): unknown {
  return error instanceof WarmpoolError && error.code === 'STORE_UNAVAILABLE'
    ? (error.cause ?? error)
    : error;
}
