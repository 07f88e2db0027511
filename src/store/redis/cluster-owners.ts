import type { Cluster, Redis } from 'ioredis';
import { hashSlot } from './hash-slot.ts';
import { shards } from './keys.ts';
import type { HostAndPort } from './redis-url.ts';

const slotOfShard: readonly number[] = shards.map(({ prefix }) => hashSlot(prefix));

/** The address of the master that has a shard, as this client knows it by now; null: it knows none. */
export function ownerOfShard(cluster: Cluster, shard: number): string | null {
  return cluster.slots[slotOfShard[shard] ?? -1]?.[0] ?? null;
}

export function ownerOfKey(cluster: Cluster, key: string): string | null {
  return cluster.slots[hashSlot(key)]?.[0] ?? null;
}

/** As the cluster writes addresses in its map of slots. */
export function addressOf({ options }: Redis): string {
  return `${options.host}:${options.port}`;
}

export function parseAddress(address: string): HostAndPort {
  const split = address.lastIndexOf(':');
  return { host: address.slice(0, split), port: Number(address.slice(split + 1)) };
}
