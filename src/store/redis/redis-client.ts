import { Cluster, type ClusterOptions, Redis } from 'ioredis';
import { replyCode } from './redis-errors.ts';
import type { HostAndPort, PlaceOptions, RedisPlace } from './redis-url.ts';

/** One server or a cluster of them: both take the same commands, as long as the keys of each are of one shard. */
export type RedisClient = Redis | Cluster;

/** What a connection is used for decides what it does when the server does not answer. */
export interface ConnectionProfile {
  readonly name: string;
  /** Whether commands wait for a server that is not there, and are sent again when their answer was cut off. */
  readonly patient: boolean;
  /** How long one command may take. */
  readonly commandTimeoutMs: number;
  readonly connectTimeoutMs: number;
}

/**
 * Somebody waits. Without a server it fails at once and never queues, because a queued command that was already reported as
 * failed would still run when the server comes back. Nothing is sent twice behind our back.
 */
export const claimsProfile: ConnectionProfile = {
  name: 'warmpool-claims',
  patient: false,
  commandTimeoutMs: 1_500,
  connectTimeoutMs: 2_000,
};

/** The same for claims that wait for a replica as well: WAIT holds up whatever is behind it on its connection. */
export const durableProfile: ConnectionProfile = { ...claimsProfile, name: 'warmpool-durable' };

/** Nobody waits, every verb is safe to repeat. It may queue and send again. */
export const backgroundProfile: ConnectionProfile = {
  name: 'warmpool-background',
  patient: true,
  commandTimeoutMs: 5_000,
  connectTimeoutMs: 10_000,
};

export const streamBlockMs = 1_000;

const retryStrategy = (attempt: number) => Math.min(50 * 2 ** (attempt - 1), 1_000) + Math.random() * 100;

/** What all connections to one server have in common, also those that a cluster is made of. */
function serverOptions(place: RedisPlace, name: string, connectTimeoutMs: number) {
  return {
    ...place.options,
    lazyConnect: true,
    connectionName: name,
    connectTimeout: connectTimeoutMs,
    // A demoted master did not run the command: find the new one.
    reconnectOnError: (error: Error): false | 2 => (replyCode(error) === 'READONLY' ? 2 : false),
    // Maps as flat lists, whichever protocol the server speaks: one shape to parse.
    replyMapping: 'legacy' as const,
    ...(place.kind === 'sentinel' ? sentinelOptions : {}),
  };
}

const sentinelOptions: PlaceOptions = {
  role: 'master',
  // A switch is heard of even when the old master keeps its connections.
  failoverDetector: true,
  sentinelReconnectStrategy: () => 5_000,
  sentinelRetryStrategy: (attempt) => Math.min(100 * attempt, 1_000),
  sentinelCommandTimeout: 2_000,
};

/** Connects when it is first used. */
export function newClient(place: RedisPlace, profile: ConnectionProfile): RedisClient {
  const { patient } = profile;
  const options = {
    ...serverOptions(place, profile.name, profile.connectTimeoutMs),
    autoResendUnfulfilledCommands: patient,
    // With 1, a command that was cut off while a reconnect succeeds at once would wait for its timeout.
    maxRetriesPerRequest: patient ? 20 : 0,
  };
  if (place.kind !== 'cluster') {
    return silenced(new Redis({ ...options, retryStrategy, enableOfflineQueue: patient }));
  }
  return silenced(newCluster(place.nodes, options, patient));
}

function newCluster(
  nodes: readonly HostAndPort[],
  redisOptions: NonNullable<ClusterOptions['redisOptions']> & { replyMapping: 'legacy' },
  patient: boolean,
): Cluster {
  return new Cluster([...nodes], {
    redisOptions,
    lazyConnect: true,
    enableOfflineQueue: patient,
    // It would keep us from all shards while one node sees another one away. Each shard says for itself whether it is served.
    enableReadyCheck: false,
    clusterRetryStrategy: retryStrategy,
    scaleReads: 'master',
    // Moved slots are found without an error first, and a new master without waiting for the old one's.
    slotsRefreshInterval: 2_000,
    slotsRefreshTimeout: 2_000,
    // MOVED and ASK say that nothing was run: followed at once. The rest is a failure at once where somebody waits.
    maxRedirections: patient ? 64 : 8,
    retryDelayOnFailover: patient ? 100 : 0,
    retryDelayOnClusterDown: patient ? 100 : 0,
    retryDelayOnTryAgain: 50,
    // Names are looked up for each connection, so that a certificate is compared with the name.
    dnsLookup: (name, done) => done(null, name),
  });
}

/**
 * For one blocking read at a time; the answers come at least every second, so silence means a dead socket. `address` is that
 * of the master to read from, in a cluster.
 */
export function newStreamClient(place: RedisPlace, address: HostAndPort | null): Redis {
  return silenced(
    new Redis({
      ...serverOptions(place, 'warmpool-stream', 2_000),
      ...address,
      retryStrategy: address === null ? retryStrategy : null,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      // A blocking read that never settles is cut off after its own second and four more.
      blockingTimeout: 5_000,
      blockingTimeoutGrace: 4_000,
      socketTimeout: 5_000,
    }),
  );
}

/** The masters of a cluster, or the one server. */
export function mastersOf(client: RedisClient): readonly Redis[] {
  return client instanceof Cluster ? client.nodes('master') : [client];
}

/** Every failure also reaches the command that it belongs to; an unhandled event would end the process. */
function silenced<Client extends RedisClient>(client: Client): Client {
  client.on('error', () => {});
  return client;
}
