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
/** What the operator has ordered of nodes. Its tag is the name of the key above, so that one script may touch both. */
export const nodeOrdersKey = `wp:{${nodesKey}}:orders`;
export const schemaKey = 'wp:schema';

/** What a tenant's limits are counted in. On a tag of their own: a tenant has sandboxes in all shards (D2). */
export interface TenantKeys {
  readonly holds: string;
  readonly bucket: string;
}

export function keysOfTenant(tenant: string): TenantKeys {
  // A brace of the name would end the tag, or make it another.
  const prefix = `wp:tenant:{${tenant.replace(/[%{}]/g, encodeURIComponent)}}:`;
  return { holds: `${prefix}holds`, bucket: `${prefix}bucket` };
}

/** The shard whose tag the key carries; null: it belongs to none. */
export function shardOfKey(key: string): number | null {
  return key.startsWith('wp:{s') && key[7] === '}' ? Number(key.slice(5, 7)) : null;
}

/** Which key this is, for the healer, which meets all of a shard's keys by scanning. */
export type KeyKind =
  | { readonly kind: 'sandbox'; readonly id: string }
  | {
      readonly kind: 'leases' | 'ready' | 'starting' | 'live' | 'owned' | 'node' | 'share';
      readonly owner: string;
    };

export function kindOfKey(shard: ShardKeys, key: string): KeyKind | null {
  const name = key.slice(shard.prefix.length);
  if (name === 'leases') return { kind: 'leases', owner: '' };
  const pool = /^pool:([a-z0-9-]+):(ready|starting|live)$/.exec(name);
  if (pool?.[1] !== undefined) return { kind: pool[2] as 'ready' | 'starting' | 'live', owner: pool[1] };
  const share = /^pool:([a-z0-9-]+):share:(.+)$/.exec(name);
  if (share !== null) return { kind: 'share', owner: `${share[1]}:${share[2]}` };
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
