import { shardCount, shardOfPool, shardOfSandbox, shardTag } from '../../domain/ids.ts';

/** The names of one shard's keys. All of them carry the shard's hash tag, so that a script touches one slot (D2). */
export interface ShardKeys {
  readonly prefix: string;
  readonly leases: string;
  readonly events: string;
  readonly sandboxPrefix: string;
}

export const shards: readonly ShardKeys[] = Array.from({ length: shardCount }, (_, shard) => {
  const prefix = `wp:${shardTag(shard)}:`;
  return { prefix, leases: `${prefix}leases`, events: `${prefix}events`, sandboxPrefix: `${prefix}sandbox:` };
});

/** The keys of a pool, worked out once: its shard costs a hash. */
export interface PoolKeys {
  readonly shard: ShardKeys;
  readonly pool: string;
}

export function shardKeys(shard: number): ShardKeys {
  const keys = shards[shard];
  if (keys === undefined) throw new RangeError(`there is no shard ${shard}`);
  return keys;
}

export function keysOfSandbox(id: string): ShardKeys {
  return shardKeys(shardOfSandbox(id));
}

export function keysOfPool(name: string): PoolKeys {
  const shard = shardKeys(shardOfPool(name));
  return { shard, pool: `${shard.prefix}pool:${name}` };
}

/** Every node's last heartbeat. In no shard: a node serves pools of all of them. */
export const nodesKey = 'wp:nodes';
export const schemaKey = 'wp:schema';

/** Which key this is, for the healer, which meets all of a shard's keys by scanning. */
export type KeyKind =
  | { readonly kind: 'sandbox'; readonly id: string }
  | { readonly kind: 'leases' | 'ready' | 'starting' | 'live' | 'owned' | 'node'; readonly owner: string };

export function kindOfKey(shard: ShardKeys, key: string): KeyKind | null {
  const name = key.slice(shard.prefix.length);
  if (name === 'leases') return { kind: 'leases', owner: '' };
  const pool = /^pool:([a-z0-9-]+):(ready|starting|live)$/.exec(name);
  if (pool?.[1] !== undefined) return { kind: pool[2] as 'ready' | 'starting' | 'live', owner: pool[1] };
  const split = name.indexOf(':');
  const owner = name.slice(split + 1);
  switch (name.slice(0, split)) {
    case 'sandbox':
      return { kind: 'sandbox', id: owner };
    case 'owned':
      return { kind: 'owned', owner };
    case 'node':
      return { kind: 'node', owner };
    default:
      return null;
  }
}
