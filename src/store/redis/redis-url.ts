import type { RedisOptions } from 'ioredis';
import { invalidRequest } from '../../domain/errors.ts';

/** What the place itself decides of a connection's options. */
export type PlaceOptions = Omit<RedisOptions, 'replyMapping' | 'retryStrategy'>;

/** Where the store's Redis is, and how to get in. What is secret is in the options only, never in an error. */
export type RedisPlace =
  /** One server, by socket or address. */
  | { readonly kind: 'single'; readonly options: PlaceOptions }
  /** The master that sentinels name: `options` holds their addresses and the master's name. */
  | { readonly kind: 'sentinel'; readonly options: PlaceOptions }
  /** Some nodes of a cluster, from which the others are found. */
  | { readonly kind: 'cluster'; readonly nodes: readonly HostAndPort[]; readonly options: PlaceOptions };

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

/** Contents of PEM files, for `rediss` forms. */
export interface RedisTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/**
 * Reads REDIS_URL:
 *
 * - `redis://[user:password@]host[:port][/db]`
 * - `unix:///path[?db=n]`, with credentials `unix://user:password@localhost/path`
 * - `redis+sentinel://[user:password@]host[:port],host[:port]…/name[/db][?sentinelUser=u&sentinelPassword=p]`
 * - `redis+cluster://[user:password@]host[:port],host[:port]…`
 *
 * and `rediss` instead of `redis` for TLS, also to the sentinels. User and password are those of the servers. Parsed here
 * and not by ioredis, whose own parser takes whatever it does not understand for a host name.
 */
export function parseRedisUrl(text: string, tls: RedisTls = {}): RedisPlace {
  const several = /^(rediss?)\+(sentinel|cluster):\/\/(.*)$/s.exec(text);
  const place =
    several === null
      ? parseSingle(text, tls)
      : parseSeveral(several[2] === 'sentinel', several[3] ?? '', several[1] === 'rediss' ? tls : null);
  if (place.options.tls === undefined && Object.keys(tls).length > 0) {
    throw badUrl('must begin with rediss:// or rediss+ for the TLS files to be of use');
  }
  return place;
}

function parseSingle(text: string, tls: RedisTls): RedisPlace {
  if (!URL.canParse(text)) throw badUrl('is not a URL');
  const url = new URL(text);
  const credentials = credentialsOf(url.username, url.password);
  switch (url.protocol) {
    case 'unix:':
      // `unix://run/redis.sock` would lose its first folder as a host name.
      if (url.hostname !== '' && url.hostname !== 'localhost')
        throw badUrl('needs three slashes: unix:///path');
      if (url.pathname === '' || url.pathname === '/')
        throw badUrl('names no socket: unix:///path/to/redis.sock');
      return {
        kind: 'single',
        options: { ...credentials, path: decoded(url.pathname), db: parseDb(url.searchParams.get('db')) },
      };
    case 'redis:':
    case 'rediss:':
      return {
        kind: 'single',
        options: {
          ...credentials,
          host: url.hostname.replace(/^\[|\]$/g, '') || 'localhost',
          port: url.port === '' ? 6_379 : Number(url.port),
          db: parseDb(url.pathname.slice(1) || url.searchParams.get('db')),
          ...(url.protocol === 'rediss:' ? { tls: { ...tls } } : {}),
        },
      };
    default:
      throw badUrl(
        'must begin with redis://, rediss://, unix://, or redis+sentinel://, redis+cluster:// and their rediss+ forms',
      );
  }
}

/** What follows `://` of a form with several hosts, which no URL has: `[user:password@]hosts[/path][?query]`. */
function parseSeveral(isSentinel: boolean, rest: string, tls: RedisTls | null): RedisPlace {
  const parts = /^(?:([^@/?#]*)@)?([^@/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(rest);
  if (parts === null)
    throw badUrl('is not a list of hosts: encode @, /, ? and # of a password as %40, %2F, %3F and %23');
  const [, userInfo = '', hosts = '', path = '', query = ''] = parts;
  const split = userInfo.indexOf(':');
  const [user, password] = split < 0 ? [userInfo, ''] : [userInfo.slice(0, split), userInfo.slice(split + 1)];
  const nodes = hosts.split(',').map((host) => parseHost(host, isSentinel ? 26_379 : 6_379));
  const options: PlaceOptions = {
    ...credentialsOf(user, password),
    ...(tls === null ? {} : { tls: { ...tls } }),
  };
  const settings = new URLSearchParams(query);
  const [, name = '', db = '', ...further] = path.split('/');
  if (!isSentinel) {
    if (name !== '' || further.length > 0) throw badUrl('of a cluster names no database: it has only one');
    if (query !== '') throw badUrl('of a cluster has no settings after a ?');
    return { kind: 'cluster', nodes, options };
  }
  if (name === '' || further.length > 0) {
    throw badUrl('of sentinels ends with the name of their master: redis+sentinel://host:26379/mymaster');
  }
  for (const setting of settings.keys()) {
    if (setting !== 'sentinelUser' && setting !== 'sentinelPassword') {
      throw badUrl('of sentinels knows the settings sentinelUser and sentinelPassword only');
    }
  }
  const sentinelUsername = settings.get('sentinelUser');
  const sentinelPassword = settings.get('sentinelPassword');
  return {
    kind: 'sentinel',
    options: {
      ...options,
      sentinels: nodes.map(({ host, port }) => ({ host, port })),
      name: decoded(name),
      db: parseDb(db),
      ...(sentinelUsername === null ? {} : { sentinelUsername }),
      ...(sentinelPassword === null ? {} : { sentinelPassword }),
      ...(tls === null ? {} : { sentinelTLS: { ...tls }, enableTLSForSentinelMode: true }),
    },
  };
}

function credentialsOf(user: string, password: string): Pick<RedisOptions, 'username' | 'password'> {
  return {
    ...(user === '' ? {} : { username: decoded(user) }),
    ...(password === '' ? {} : { password: decoded(password) }),
  };
}

function parseHost(text: string, defaultPort: number): HostAndPort {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]%]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw badUrl('has a host that is not host or host:port; several are parted by commas');
  }
  return { host, port };
}

function parseDb(text: string | null): number {
  if (text === null || text === '') return 0;
  if (!/^\d{1,5}$/.test(text)) throw badUrl('has a database that is not a number');
  return Number(text);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw badUrl('has a % that is not followed by two hexadecimal digits: write %25 for the sign itself');
  }
}

/** The URL itself stays out of the sentence: it may hold a password. */
function badUrl(why: string): Error {
  return invalidRequest([{ field: 'REDIS_URL', description: why }]);
}
