import type { RedisOptions } from 'ioredis';
import { invalidRequest } from '../../domain/errors.ts';

/**
 * Where a Redis is: `redis://[user:password@]host[:port][/db]`, `rediss://…` for TLS, `unix:///path[?db=n]` (with credentials `unix://user:password@localhost/path`).
 * Parsed here
 * and not by ioredis, whose own parser takes whatever it does not understand for a host name.
 */
export function parseRedisUrl(text: string): RedisOptions {
  if (!URL.canParse(text)) throw badUrl('is not a URL');
  const url = new URL(text);
  const credentials = {
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
  };
  switch (url.protocol) {
    case 'unix:':
      // `unix://run/redis.sock` would lose its first folder as a host name.
      if (url.hostname !== '' && url.hostname !== 'localhost')
        throw badUrl('needs three slashes: unix:///path');
      if (url.pathname === '' || url.pathname === '/')
        throw badUrl('names no socket: unix:///path/to/redis.sock');
      return {
        ...credentials,
        path: decodeURIComponent(url.pathname),
        db: parseDb(url.searchParams.get('db')),
      };
    case 'redis:':
    case 'rediss:':
      return {
        ...credentials,
        host: url.hostname.replace(/^\[|\]$/g, '') || 'localhost',
        port: url.port === '' ? 6379 : Number(url.port),
        db: parseDb(url.pathname.slice(1) || url.searchParams.get('db')),
        ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
      };
    default:
      throw badUrl('must begin with redis://, rediss:// or unix://');
  }
}

function parseDb(text: string | null): number {
  if (text === null || text === '') return 0;
  if (!/^\d{1,5}$/.test(text)) throw badUrl('has a database that is not a number');
  return Number(text);
}

/** The URL itself stays out of the sentence: it may hold a password. */
function badUrl(why: string): Error {
  return invalidRequest([{ field: 'REDIS_URL', description: why }]);
}
