import { WarmpoolError } from '../../domain/errors.ts';

/** The sections of INFO as one map. INFO is asked instead of CONFIG, which our own user has no right to (HARDENING A20). */
export type ServerInfo = ReadonlyMap<string, string>;

export function parseInfo(text: string): ServerInfo {
  const info = new Map<string, string>();
  for (const line of text.split('\r\n')) {
    const split = line.indexOf(':');
    if (split > 0 && !line.startsWith('#')) info.set(line.slice(0, split), line.slice(split + 1));
  }
  return info;
}

/** Throws when this server must not hold the store. */
export function assertServerFits(info: ServerInfo): void {
  const [major = 0] = versionOf(info);
  if (major < 7) {
    throw unfit(`it is version ${info.get('redis_version')}, and the scripts need Redis 7.0 or newer`);
  }
  if (info.get('role') === 'slave') {
    throw unfit('it is a replica: point REDIS_URL at the master');
  }
  const policy = info.get('maxmemory_policy') ?? 'unknown';
  if (policy !== 'noeviction') {
    throw unfit(
      `its maxmemory-policy is ${policy}, which may evict leases: run \`redis-cli CONFIG SET maxmemory-policy noeviction\`, and set it in redis.conf`,
    );
  }
}

/** Sentences about what is risky but allowed. */
export function serverWarnings(info: ServerInfo, serverMs: number, ourMs: number): readonly string[] {
  const warnings: string[] = [];
  if (info.get('aof_enabled') !== '1') {
    warnings.push(
      'Redis runs without an append-only file: a restart of it forgets every sandbox (run `redis-cli CONFIG SET appendonly yes`)',
    );
  }
  if (Number(info.get('connected_slaves') ?? 0) > 0 && !info.has('min_slaves_good_slaves')) {
    warnings.push(
      'Redis has replicas but min-replicas-to-write is not set: a master cut off from them goes on taking claims that are lost later',
    );
  }
  const skewMs = Math.abs(serverMs - ourMs);
  if (skewMs > 1_000) {
    warnings.push(
      `the clock of Redis is ${(skewMs / 1_000).toFixed(1)} s away from ours: leases follow the clock of Redis, times in logs will not match`,
    );
  }
  const fixed = fixedVersion(info);
  if (fixed !== null) {
    warnings.push(
      `Redis ${info.get('redis_version')} has known memory errors (CVE-2025-49844 and others) unless its distribution patched them: use ${fixed} or newer`,
    );
  }
  return warnings;
}

/** The first release of each line with the fix of CVE-2025-49844 (Redis security advisory of October 2025). */
const fixedReleases: readonly (readonly [number, number, number])[] = [
  [7, 2, 11],
  [7, 4, 6],
  [8, 0, 4],
  [8, 2, 2],
];

/** The release to move to, or null when this one is not known to be bad (or is not Redis itself). */
function fixedVersion(info: ServerInfo): string | null {
  if (info.has('valkey_version')) return null;
  const [major = 0, minor = 0, patch = 0] = versionOf(info);
  const ours = fixedReleases.find(([a, b]) => a > major || (a === major && b >= minor));
  if (ours === undefined) return null;
  const [a, b, c] = ours;
  return a === major && b === minor && patch >= c ? null : `${a}.${b}.${c}`;
}

function versionOf(info: ServerInfo): readonly number[] {
  return (info.get('redis_version') ?? '0').split('.').map(Number);
}

function unfit(why: string): WarmpoolError {
  return new WarmpoolError('UNSUPPORTED', `this Redis cannot hold the store: ${why}`, {
    facts: { component: 'redis' },
  });
}
