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

/** Throws when this server must not hold the store. `address` is empty when there is only one. */
export function assertServerFits(info: ServerInfo, form: RedisForm, address = ''): void {
  const unfit = (why: string) => refusal(address, why);
  const [major = 0] = versionOf(info);
  const mode = info.get('redis_mode');
  if (mode === 'sentinel') {
    throw unfit('it is a sentinel: write redis+sentinel://host:port/name in REDIS_URL');
  }
  if (mode === 'cluster' && form !== 'cluster') {
    throw unfit('it is a node of a cluster: write redis+cluster://host:port,host:port in REDIS_URL');
  }
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

export type RedisForm = 'single' | 'sentinel' | 'cluster';

export interface InspectedServer {
  readonly info: ServerInfo;
  readonly address: string;
}

/** Sentences about what is risky but allowed, each with the servers that it is about and what to set. */
export function serverWarnings(
  servers: readonly InspectedServer[],
  form: RedisForm,
  skewMs: number,
): readonly string[] {
  const warnings: string[] = [];
  for (const [isSo, sentence] of risks) {
    const about = servers.filter(({ info }) => isSo(info, form));
    const [first] = about;
    if (first === undefined) continue;
    const addresses = about.map(({ address }) => address).filter((address) => address !== '');
    warnings.push(`${sentence(first.info)}${addresses.length === 0 ? '' : ` [${addresses.join(', ')}]`}`);
  }
  if (Math.abs(skewMs) > 1_000) {
    warnings.push(
      `the clock of Redis is ${(Math.abs(skewMs) / 1_000).toFixed(1)} s away from ours: leases follow the clock of Redis, times in logs will not match`,
    );
  }
  return warnings;
}

type Risk = readonly [
  isSo: (info: ServerInfo, form: RedisForm) => boolean,
  sentence: (info: ServerInfo) => string,
];

const replicasOf = (info: ServerInfo) => Number(info.get('connected_slaves') ?? 0);

const risks: readonly Risk[] = [
  [
    (info) => info.get('aof_enabled') !== '1',
    () =>
      'Redis runs without an append-only file: a restart of it forgets every sandbox (run `redis-cli CONFIG SET appendonly yes`, and set it in redis.conf)',
  ],
  [
    (info) => replicasOf(info) > 0 && !info.has('min_slaves_good_slaves'),
    () =>
      'Redis has replicas but min-replicas-to-write is not set: a master cut off from them goes on taking claims that are lost later (run `redis-cli CONFIG SET min-replicas-to-write 1` and `CONFIG SET min-replicas-max-lag 10`, and set both in redis.conf)',
  ],
  [
    (info, form) => form !== 'single' && replicasOf(info) === 0,
    () =>
      'a Redis master has no replica: when it dies nothing takes its place, and its pools hand out nothing',
  ],
  [
    (info) => fixedVersion(info) !== null,
    (info) =>
      `Redis ${info.get('redis_version')} has known memory errors (CVE-2025-49844 and others) unless its distribution patched them: use ${fixedVersion(info)} or newer`,
  ],
];

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

function refusal(address: string, why: string): WarmpoolError {
  const which = address === '' ? 'this Redis' : `the Redis at ${address}`;
  return new WarmpoolError('UNSUPPORTED', `${which} cannot hold the store: ${why}`, {
    facts: { component: 'redis' },
  });
}
