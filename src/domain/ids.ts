import { createHash, randomBytes } from 'node:crypto';

/**
 * Ids are 20 characters of [a-z0-9]: safe as a DNS label, a cgroup name and a container name. The first two name the
 * shard, so that an id alone says where its record is; the other 18 carry 93 random bits.
 */
export const shardCount = 16;

const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';
const idPattern = /^(0[0-9]|1[0-5])[a-z0-9]{18}$/;

/** Shards are numbered 0 … 15 and written as two digits; `{s07}` is the Redis hash tag of shard 7. */
export function shardTag(shard: number): string {
  return `{s${shard.toString().padStart(2, '0')}}`;
}

/** A pool lives wholly in one shard, given by its name. */
export function shardOfPool(pool: string): number {
  let shard = shardOf.get(pool);
  if (shard === undefined) {
    shard = createHash('sha256').update(pool).digest().readUInt32BE(0) % shardCount;
    if (shardOf.size < shardsKeptMax) shardOf.set(pool, shard);
  }
  return shard;
}

/** Every claim asks, and a hash costs as much as preparing the rest of one. Made-up names must not fill it up. */
const shardOf = new Map<string, number>();
const shardsKeptMax = 1_024;

export function shardOfSandbox(sandboxId: string): number {
  return Number(sandboxId.slice(0, 2));
}

export function isSandboxId(text: string): boolean {
  return idPattern.test(text);
}

export function newSandboxId(shard: number): string {
  return shard.toString().padStart(2, '0') + randomName(18);
}

/** A claim id tells two claims of one sandbox apart even when a failover repeats the incarnation number. */
export function newClaimId(): string {
  return randomName(20);
}

/** Rejection sampling: 252 is the largest multiple of 36 in a byte, so every character is equally likely. */
function randomName(length: number): string {
  let name = '';
  while (name.length < length) {
    const byte = randomByte();
    if (byte < 252) name += alphabet[byte % 36];
  }
  return name;
}

/** Drawn for some hundred names at once: a claim makes three, and a system call for each would cost more than they do. */
let drawn: Uint8Array = new Uint8Array(0);
let used = 0;
let source: (byteCount: number) => Uint8Array = randomBytes;

/** For a simulation, whose names must be the same every time it is run; without one, the system's random bytes again. */
export function drawNamesFrom(bytes: (byteCount: number) => Uint8Array = randomBytes): void {
  source = bytes;
  drawn = new Uint8Array(0);
  used = 0;
}

function randomByte(): number {
  if (used === drawn.length) {
    drawn = source(4_096);
    used = 0;
  }
  const byte = drawn[used] ?? 0;
  used += 1;
  return byte;
}
